"""The examples do what their READMEs show, with the offline model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import batch
import offline_model
from flowkit.report.html import write_report
from tests.documents import PROJECT, blocks

EXAMPLES = sorted(path.parent.name for path in PROJECT.glob("examples/*/README.md"))

pytestmark = pytest.mark.slow


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", offline_model.start())
    monkeypatch.setenv("OPENAI_MODEL", offline_model.MODEL)
    monkeypatch.chdir(PROJECT)


def run(example: str, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the command of an example's README, and return its rows and figures."""
    readme = f"examples/{example}/README.md"
    command, *shown = blocks(readme, "console")[0].splitlines()
    program, *arguments = shlex.split(command)[2:]
    assert program == "batch.py"
    assert batch.main([*arguments, "--out", str(out), "--quiet"]) == 0
    printed = capsys.readouterr().out
    for line in shown:
        assert line in printed
    rows = [json.loads(line) for line in (out / "details.jsonl").read_text(encoding="utf-8").splitlines()]
    return rows, json.loads((out / "metrics.json").read_text(encoding="utf-8"))


def test_each_example_is_run_here_and_has_ten_lines_of_readme_at_most() -> None:
    assert EXAMPLES == ["existing_answers", "one_checklist", "own_input"]  # the last in tests/test_own_inputs.py
    for example in EXAMPLES:
        assert len((PROJECT / "examples" / example / "README.md").read_text(encoding="utf-8").splitlines()) <= 10


@pytest.mark.usefixtures("offline")
def test_existing_answers_are_judged_by_their_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, figures = run("existing_answers", tmp_path, capsys)
    assert [row["answered_from"] for row in rows] == ["data"] * 4 + ["asked"]
    assert rows[0]["statements"] == {"short": "It is short.", "right": 'It mentions "Paris".'}
    assert [row["verdicts"]["right"]["score"] for row in rows] == [5, 1, 5, 5, 1]
    assert figures["run"]["checklist"]["file"] == "checklist.yaml"


@pytest.mark.usefixtures("offline")
def test_one_checklist_is_for_a_hundred_lines_grouped_by_topic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, figures = run("one_checklist", tmp_path, capsys)
    assert len(rows) == 100
    assert rows[1]["statements"] == {
        "subject": "It names Prompt flow.",
        "tool": "It explains what Prompt flow is for.",
        "short": "It is short.",
    }
    assert {name: group["total"] for name, group in figures["groups"].items()} == dict.fromkeys(
        ("animals", "books", "capitals", "tools"), 25
    )
    assert [name for name, group in figures["groups"].items() if "tool" in group["statements"]] == ["tools"]
    assert figures["groups"]["tools"]["statements"]["short"]["scale"] == "pass"
    assert figures["weighted_average"]["scored"] == 100
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="groups">By topic</h2>' in page
    write_report(tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
