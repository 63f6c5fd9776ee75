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

OURS = ["README.md", "docs/batch.md"]
PROMPTFLOWS = ["docs/promptflow.md"]
REFUSED = "pf run create --flow flow.py --data data.jsonl"
SET_UP = "make tutorial"  # `make test` begins with it
RECURSIVE = "make test"  # runs this test
MAIN_JOB = "python batch.py --data data.jsonl --out out --concurrency 16"  # what `make tutorial` runs


@dataclass
class Typed:
    """A command with the output that a document shows, and what came."""

    command: str
    shown: list[str]
    code: int = -1
    printed: str = ""


Session = dict[str, Typed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project that finds its set-up done: that part is `make test` itself."""
    copy = copy_of_project(tmp_path_factory.mktemp("readme"))
    (copy / ".venv").symlink_to(sys.prefix)
    return copy


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    return {**clean_environment(folder.parent / "home"), **new_home(folder.parent / "home")}


def commands(of: list[str]) -> list[Typed]:
    """Return the commands of the documents' console blocks."""
    typed: list[Typed] = []
    for document in of:
        for line in "".join(documents.blocks(document, "console")).splitlines():
            if line.startswith("$ "):
                typed.append(Typed(line[2:], []))
            elif line:
                typed[-1].shown.append(line)
    return typed


def type_in(documented: list[str], folder: Path, environment: dict[str, str]) -> Session:
    """Type all commands of these documents in order."""
    typed = {each.command: each for each in commands(documented) if each.command not in (SET_UP, RECURSIVE)}
    for each in typed.values():
        done = subprocess.run(
            ["bash", "-c", each.command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        each.code, each.printed = done.returncode, done.stdout + done.stderr
    return typed


@pytest.fixture(scope="module")
def session(folder: Path, environment: dict[str, str]) -> Session:
    return type_in(OURS, folder, environment)


@pytest.fixture(scope="module")
def on_promptflow(session: Session, folder: Path, environment: dict[str, str]) -> Session:
    assert session  # one of the commands compares with what was done there
    return type_in(PROMPTFLOWS, folder, environment)


def check_printed(session: Session) -> None:
    """Assert that every command ended as it should and printed what its document shows."""
    for typed in session.values():
        assert (typed.code == 0) == (typed.command != REFUSED), f"{typed.command}: {typed.printed}"
        for line in typed.shown:
            assert line.strip() in typed.printed, f"{typed.command} did not print: {line}"


def figures_in(typed: Typed) -> dict[str, Any]:
    found = re.search(r"^\{\n.*?^\}", typed.printed, re.DOTALL | re.MULTILINE)
    assert found, typed.printed
    figures: dict[str, Any] = json.loads(found[0])
    return figures


def test_every_document_with_commands_is_read() -> None:
    assert [str(path) for path in documents.DOCUMENTS if documents.blocks(path, "console")] == [*OURS, *PROMPTFLOWS]


def test_every_command_works_and_prints_what_the_documents_show(session: Session) -> None:
    check_printed(session)


def test_the_first_output_is_the_one_of_the_tutorial(session: Session) -> None:
    shown = documents.blocks("README.md", "text")[0]
    assert shown.strip() in session[MAIN_JOB].printed


@pytest.mark.long
def test_every_command_on_promptflow_works_too(on_promptflow: Session) -> None:
    check_printed(on_promptflow)


@pytest.mark.long
def test_promptflow_runs_complete_without_a_failed_line(on_promptflow: Session) -> None:
    created = [each for each in on_promptflow.values() if each.command.startswith("pf run create") and each.code == 0]
    assert len(created) == 4
    for typed in created:
        run = figures_in(typed)
        assert run["status"] == "Completed"
        assert len((Path(str(run["output"])) / "output.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.long
def test_the_evaluation_of_a_run_gives_the_tutorials_metrics(on_promptflow: Session) -> None:
    figures = figures_in(on_promptflow["pf run show-metrics --name judged"])
    assert (figures["average_correctness"], figures["total"], figures["scored_consise"]) == (5.0, 3, 3)


@pytest.mark.long
def test_the_persons_own_flow_file_is_as_it_was(on_promptflow: Session, folder: Path) -> None:
    assert on_promptflow
    assert (folder / "flow.flex.yaml").read_text() == "entry: flow:ChatFlow\n"
