"""promptflow's service: it shows what was asked for, and is gone afterwards, as is all but the results of a run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests import programs
from tests.conftest import new_home
from tests.notebook import clean_environment, copy_of_project, execute
from tests.test_notebook import cell_with, check_outputs, shown

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


@pytest.mark.long
def test_a_service_that_the_persons_settings_ask_for_is_stopped_when_the_run_is_over(
    home: Path, tmp_path: Path
) -> None:
    (home / ".promptflow" / "pf.yaml").write_text(WITH_SERVICE)
    programs.give_port(home)
    batch(home, tmp_path)
    assert processes_of(home) == []
    assert (home / ".promptflow" / "trace.sqlite").exists()


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Path]:
    """Run it in a copy of the project; return it, the copy's folder and the home."""
    folder = tmp_path_factory.mktemp("notebook")
    home, copy = folder / "home", copy_of_project(folder)
    programs.give_port(home)
    return execute(copy, {**clean_environment(home), "TMPDIR": str(home)}), copy, home


def test_the_notebook_runs_from_top_to_bottom_and_leaves_no_service(executed: tuple[Any, Path, Path]) -> None:
    notebook, folder, home = executed
    check_outputs(notebook)
    (noted,) = (home / ".promptflow" / "pfs").glob("*.port")  # the one that was given
    assert f"on 127.0.0.1:{noted.read_text().split()[-1]}, version" in shown(cell_with(notebook, "start_trace()"))
    assert (folder / "flow.flex.yaml").read_text() == "entry: flow:ChatFlow\n"
    programs.until(lambda: processes_of(home) == [], lambda: f"still there: {processes_of(home)}", limit_s=15)


def test_the_page_of_the_notebooks_last_step_shows_lines_verdicts_and_tokens(
    executed: tuple[Any, Path, Path], page: Page
) -> None:
    notebook, folder, home = executed
    names = [
        re.findall(r"ui/traces/\?#run=(\w+)", shown(cell_with(notebook, source)))[0]
        for source in ("base_run = pf.run(", "eval_run = pf.run(")
    ]
    port = programs.free_port()
    service = [sys.executable, "-m", "promptflow._cli.pf", "service", "start", "--debug", "--port", str(port)]
    with programs.running(service, folder, clean_environment(home), lambda: programs.answers(port, "/heartbeat")):
        page.goto(f"http://localhost:{port}/v1.0/ui/traces/?#run={','.join(names)}")
        rows = page.get_by_role("row").filter(has_text="ChatFlow")
        expect(rows).to_have_count(3, timeout=60_000)
        for title in ("Total tokens", "correctness", "consise"):
            expect(page.get_by_text(title, exact=True).first).to_be_visible(timeout=60_000)
        row = rows.filter(has_text="How many questions did user ask?")
        expect(row).to_contain_text("You asked 1 question before this one.")
        expect(row).to_contain_text("the answer has the number 1.")
        counted = programs.get_json(port, f"/v1.0/LineRuns/list?run={names[0]}")
        tokens = {line["inputs"]["question"]: line["cumulative_token_count"]["total"] for line in counted}
        assert tokens["How many questions did user ask?"] > 0
        expect(row).to_contain_text(str(tokens["How many questions did user ask?"]))
