"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path


def told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
