"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

from flowkit.base.text import clean


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that nobody ever finds half of it; text as UTF-8, with what that cannot carry as U+FFFD.

    Several processes may write the same file: the last one wins. Raises OSError with `path` and the system's words;
    the file is then as it was before, and nothing else is left behind.
    """
    make_folder(path.parent)
    unfinished = path.parent / f".{secrets.token_hex(8)}.unfinished"
    try:
        unfinished.write_bytes(clean(content).encode() if isinstance(content, str) else content)
        unfinished.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises OSError that names what stands in the way."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # of a link to nowhere, Python says that the file exists
        obstacle = Path(error.filename)
        code = errno.ENOENT if obstacle.is_symlink() and not obstacle.exists() else errno.ENOTDIR
        raise OSError(code, os.strerror(code), str(obstacle)) from None


def set_aside(path: Path) -> Path:
    """Give a file or folder another name, which no other has, and return it: journal.previous.jsonl, for instance."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.previous{'' if number == 1 else f'-{number}'}{path.suffix}")).exists():
        number += 1
    return path.replace(aside)


def told(error: OSError) -> str:
    """Return what happened to which file, in one line: "out/metrics.json: No space left on device"."""
    words = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {words}" if error.filename else words
