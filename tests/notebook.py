"""Run the notebook from a clean kernel; `python -m tests.notebook` keeps what it shows, without any path."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PROJECT = Path(__file__).absolute().parent.parent
NOTEBOOK = PROJECT / "chat-stream-with-async-flex-flow.ipynb"


def execute(folder: Path, environment: dict[str, str]) -> Any:
    """Run the notebook of the project copy in `folder` with nothing in the environment but `environment`."""
    notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    here = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=120, resources=here, coalesce_streams=True, record_timing=False).execute(
        env=environment
    )
    return notebook


def copy_of_project(folder: Path) -> Path:
    """Copy what git knows of the project into `folder` under the name the tutorial's folder has."""
    copy = folder / "chat-async-stream"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    return copy


def without_paths(text: str, folder: Path, home: Path) -> str:
    """Write the project's folder as `.`, the home as `~` and the file IPython makes of a cell as `<cell>`."""
    text = re.sub(rf"{re.escape(str(folder))}/?", "./", text).replace(str(home), "~")
    text = re.sub(r"[^\s\"]*/site-packages/", "", text)
    return re.sub(r"[^\s\"]*ipykernel_\d+/\d+\.py", "<cell>", text)


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of somebody with a new machine: this Python, an empty home, and nothing configured."""
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}


def main() -> None:
    """Run the notebook in a copy of the project with an empty home, and keep what it shows."""
    with tempfile.TemporaryDirectory() as temporary:
        home, folder = Path(temporary) / "home", copy_of_project(Path(temporary))
        notebook = execute(folder, {**clean_environment(home), "TMPDIR": str(home)})
        shown = nbformat.writes(notebook)
        NOTEBOOK.write_text(without_paths(shown, folder, home) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
