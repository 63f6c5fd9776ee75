"""How a program prints: no character makes it fail, and a warning is one line."""

from __future__ import annotations

import contextlib
import io
import sys
import warnings


def speak_plainly() -> None:
    """Let stdout and stderr show "?" for what their encoding does not have, such as an emoji on a cp1252 terminal.

    May be called again. Streams that others have put in their place, such as a notebook's, and an error handler that
    somebody has chosen, for instance by PYTHONIOENCODING, stay as they are. Warnings are shown without the line of code
    that they come from.
    """
    warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\n"
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):  # closed, or what it still holds cannot be written
            if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
                stream.reconfigure(errors="replace")
