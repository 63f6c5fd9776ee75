"""The processes of a benchmark: the server, and a fresh one for each measurement, none with anything of ours around."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).absolute().parent.parent
SETTINGS = ("OPENAI_", "AZURE_OPENAI_", "MODEL_", "JUDGE_", "PF_")


@contextmanager
def hermetic_environment() -> Iterator[dict[str, str]]:
    """Yield an environment in which promptflow reports nothing, starts nothing and keeps its files in a new folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(PROJECT / "pf.yaml", home)  # telemetry off, no trace service
        own = {"HOME": home, "PF_HOME_DIRECTORY": home, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        yield {**kept, **own}


@contextmanager
def running_server(environment: dict[str, str]) -> Iterator[str]:
    """Run the server and yield its address."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def run_python(environment: dict[str, str], *arguments: str) -> Any:
    """Return the JSON that a fresh Python prints. Raises RuntimeError with the end of what it says on stderr."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
