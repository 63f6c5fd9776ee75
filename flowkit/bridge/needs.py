"""What promptflow needs of the machine, checked before anything is sent: a folder of its own, and semaphores."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from flowkit.base.errors import BadInputError

OTHERWISE = "or take --engine local"


def check_machine() -> None:
    """Raise BadInputError where promptflow could not even be imported, or could not run."""
    _check_home()
    _check_semaphores()


def home() -> Path:
    """Return the folder where promptflow keeps runs, settings and connections."""
    named = os.environ.get("PF_HOME_DIRECTORY")
    return Path(named) if named else Path.home() / ".promptflow"


def _check_home() -> None:
    """Make that folder, as promptflow would."""
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        advice = f"set PF_HOME_DIRECTORY to a folder that can be written, {OTHERWISE}"
        raise BadInputError(f"{folder}: promptflow needs this folder and cannot write there; {advice}")


def _check_semaphores() -> None:
    """promptflow makes them between processes; Linux keeps them in /dev/shm."""
    try:
        multiprocessing.Lock()
    except OSError as error:
        needs = f"promptflow needs semaphores between processes, and there are none: {error.strerror}"
        raise BadInputError(f"{needs}; make /dev/shm writable, {OTHERWISE}") from error
