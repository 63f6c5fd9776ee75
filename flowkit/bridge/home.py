"""The folder where promptflow keeps runs, settings and connections; without it promptflow cannot be imported."""

from __future__ import annotations

import os
from pathlib import Path

from flowkit.base.errors import BadInputError


def check_home() -> None:
    """Make promptflow's folder as promptflow would. Raises BadInputError where that cannot be done."""
    named = os.environ.get("PF_HOME_DIRECTORY")
    home = Path(named) if named else Path.home() / ".promptflow"
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        advice = "set PF_HOME_DIRECTORY to a folder that can be written, or take --engine local"
        raise BadInputError(f"{home}: promptflow needs this folder and cannot write there; {advice}")
