"""Printing that no character can make fail."""

from __future__ import annotations

import contextlib
import io
import sys


def speak_plainly() -> None:
    """Let stdout and stderr show "?" for what their encoding does not have, such as an emoji on a cp1252 terminal.

    May be called again. Streams that others have put in their place, such as a notebook's, and an error handler that
    somebody has chosen, for instance by PYTHONIOENCODING, stay as they are.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):  # closed, or what it still holds cannot be written
            if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
                stream.reconfigure(errors="replace")
