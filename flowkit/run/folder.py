"""The folder of a run, held by one process at a time."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from flowkit.base.errors import BadInputError
from flowkit.data.figures import read_figures

WRITTEN = ("details.jsonl", "details", "journal.jsonl", "metrics.json", "report.html")


def check_resumed(folder: Path) -> None:
    """Raise BadInputError where nothing is: a mistyped name must not become a folder."""
    if not os.path.lexists(folder):
        raise BadInputError(
            f"{folder}: expected the folder of a run, found nothing; correct --resume, or start a new run with --out"
        )


def data_of(folder: Path) -> str | None:
    """Return the name of the data file that a finished run was of; None where nothing says so."""
    try:
        run = read_figures(folder).run
    except BadInputError:
        return None
    return run.data.file if run else None


def check_data(data: str, folder: Path) -> None:
    """Raise BadInputError where the data is what the run writes: its rows would be replaced while they are read."""
    if os.path.realpath(data) in (os.path.realpath(folder / name) for name in WRITTEN):
        raise BadInputError(f"{data}: is what the run in {folder} writes; copy it, or name another --out")


def hold(folder: Path) -> FileLock:
    """Make the folder, and hold it until `release` is called or the process ends, in whatever way.

    Raises BadInputError where it is no folder or another run holds it, OSError where it cannot be made.
    """
    if not folder.is_dir() and (folder.is_symlink() or folder.exists()):
        kind = "a file" if folder.exists() else "a link that leads nowhere"
        raise BadInputError(f"{folder}: expected a folder, got {kind}; name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInputError(
            f"{folder}: another run is writing there; wait for its end, or name another --out"
        ) from None
    except OSError as error:
        raise BadInputError(f"{folder}: no file can be locked there ({error.strerror}); name another --out") from None
    return lock
