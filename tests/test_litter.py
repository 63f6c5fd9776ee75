"""What a run leaves behind: its results, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.conftest import new_home

pytestmark = [pytest.mark.slow, pytest.mark.promptflow]

PROJECT = Path(__file__).absolute().parent.parent
WITH_SERVICE = "telemetry:\n  enabled: false\ntrace:\n  destination: local\n"


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes that were started with that home, ours excepted."""

    def belongs(process: psutil.Process) -> bool:
        try:
            return process.environ().get("HOME") == str(home) and process.pid != os.getpid()
        except psutil.Error:
            return False

    return [process for process in psutil.process_iter() if belongs(process)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    new_home(home).clear()
    yield home
    for process in processes_of(home):
        process.kill()


def batch(home: Path, folder: Path, **variables: str) -> None:
    variables |= {"HOME": str(home), "PF_HOME_DIRECTORY": str(home / ".promptflow")}
    variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [
        sys.executable,
        str(PROJECT / "batch.py"),
        "--data",
        str(PROJECT / "data.jsonl"),
        "--engine",
        "promptflow",
    ]
    subprocess.run(command, cwd=folder, env={**os.environ, **variables}, check=True, capture_output=True)


def test_no_service_and_no_temporary_file_is_left_and_the_settings_are_as_they_were(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    before = (home / ".promptflow" / "pf.yaml").read_text()
    with TemporaryDirectory(dir="/tmp") as temporary:  # short, as the names of sockets have to be
        batch(home, folder, TMPDIR=temporary)
        assert list(Path(temporary).iterdir()) == []
    assert (home / ".promptflow" / "pf.yaml").read_text().startswith(before)  # promptflow adds its installation's id
    assert processes_of(home) == []
    assert [path.name for path in folder.iterdir()] == ["out"]


def test_a_service_that_the_persons_settings_ask_for_is_stopped_when_the_run_is_over(
    home: Path, tmp_path: Path
) -> None:
    (home / ".promptflow" / "pf.yaml").write_text(WITH_SERVICE)
    batch(home, tmp_path)
    assert processes_of(home) == []
    assert list((home / ".promptflow" / "pfs").glob("*.port")) != []  # where promptflow says which port it gave to it
