"""The documents' commands, typed one after the other in a copy of the project, offline, in an empty home."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.conftest import new_home
from tests.notebook import clean_environment, copy_of_project

pytestmark = [pytest.mark.slow, pytest.mark.promptflow]

DOCUMENTS = ["README.md", "docs/batch.md", "docs/promptflow.md"]
REFUSED = "pf run create --flow flow.py --data data.jsonl"
SET_UP = "make tutorial"  # `make test` begins with it
RECURSIVE = "make test"  # runs this test
OTHER_WAYS = ("--name by_class", "--name from_file")  # to the run `base`; typed by `make test-long`
MAIN_JOB = "python batch.py --data data.jsonl --out out --concurrency 16"  # what `make tutorial` runs


@dataclass
class Typed:
    """A command with the output that a document shows, and what came."""

    command: str
    shown: list[str]
    code: int = -1
    printed: str = ""


def commands() -> list[Typed]:
    """Return the commands of the documents' console blocks."""
    typed: list[Typed] = []
    for document in DOCUMENTS:
        for line in "".join(documents.blocks(document, "console")).splitlines():
            if line.startswith("$ "):
                typed.append(Typed(line[2:], []))
            elif line:
                typed[-1].shown.append(line)
    return typed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project that finds its set-up done: that part is `make test` itself."""
    copy = copy_of_project(tmp_path_factory.mktemp("readme"))
    (copy / ".venv").symlink_to(sys.prefix)
    return copy


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return {**clean_environment(folder.parent / "home"), **new_home(folder.parent / "home")}


def type_in(typed: Typed, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-c", typed.command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    typed.code, typed.printed = done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def session(folder: Path, environment: dict[str, str]) -> dict[str, Typed]:
    """Type all commands in order, but for those that take long and show nothing new."""
    others = (SET_UP, RECURSIVE, *OTHER_WAYS)
    typed = {each.command: each for each in commands() if not each.command.endswith(others)}
    for each in typed.values():
        type_in(each, folder, environment)
    return typed


def figures_in(typed: Typed) -> dict[str, Any]:
    found = re.search(r"^\{\n.*?^\}", typed.printed, re.DOTALL | re.MULTILINE)
    assert found, typed.printed
    figures: dict[str, Any] = json.loads(found[0])
    return figures


def test_every_command_works_and_prints_what_the_documents_show(session: dict[str, Typed]) -> None:
    for typed in session.values():
        assert (typed.code == 0) == (typed.command != REFUSED), f"{typed.command}: {typed.printed}"
        for line in typed.shown:
            assert line.strip() in typed.printed, f"{typed.command} did not print: {line}"


def test_the_first_output_is_the_one_of_the_tutorial(session: dict[str, Typed]) -> None:
    shown = documents.blocks("README.md", "text")[0]
    assert shown.strip() in session[MAIN_JOB].printed


def test_every_document_with_commands_is_read() -> None:
    assert [str(path) for path in documents.DOCUMENTS if documents.blocks(path, "console")] == DOCUMENTS


def check_completed(typed: Typed) -> None:
    run = figures_in(typed)
    assert run["status"] == "Completed"
    assert len((Path(str(run["output"])) / "output.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_promptflow_runs_complete_without_a_failed_line(session: dict[str, Typed]) -> None:
    runs = [typed for typed in session.values() if typed.command.startswith("pf run create") and typed.code == 0]
    assert len(runs) == 2
    for typed in runs:
        check_completed(typed)


@pytest.mark.long
@pytest.mark.parametrize("ending", OTHER_WAYS)
def test_the_other_ways_to_the_same_run_work_too(folder: Path, environment: dict[str, str], ending: str) -> None:
    (typed,) = (each for each in commands() if each.command.endswith(ending))
    type_in(typed, folder, environment)
    check_completed(typed)


def test_the_evaluation_of_a_run_gives_the_tutorials_metrics(session: dict[str, Typed]) -> None:
    figures = figures_in(session["pf run show-metrics --name judged"])
    assert (figures["average_correctness"], figures["total"], figures["scored_consise"]) == (5.0, 3, 3)


def test_the_persons_own_flow_file_is_as_it_was(session: dict[str, Typed], folder: Path) -> None:
    assert session
    assert (folder / "flow.flex.yaml").read_text() == "entry: flow:ChatFlow\n"
