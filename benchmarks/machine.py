"""What the numbers were measured on, in general terms: no name, no path."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def described(packages: Sequence[str]) -> str:
    """Return the processor, its cores, the system, Python, and the versions of `packages`."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; {python}; {versions}"


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    named = (
        re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE) if information.exists() else None
    )
    return named[1] if named else platform.processor() or platform.machine()
