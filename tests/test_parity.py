"""promptflow's evaluations on disk beside a run of ours: the same lines, and those that failed count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowkit import parity
from flowkit.bridge.finished_runs import LEFT_OUT, folder_of, read_old_rows
from flowkit.data.records import Row
from flowkit.data.rows import write_rows
from tests import documents
from tests.runs import row

STATEMENTS = {"short": "It is short.", "right": "It is right."}
Outcome = dict[str, Any] | str  # scores by statement, or why the line failed


def old_line(position: int, outcome: Outcome, statements: Any = STATEMENTS) -> dict[str, Any]:
    """Return a line of flow_artifacts as promptflow 1.18.5 writes it, as far as it matters."""
    failed = isinstance(outcome, str)
    output = None if isinstance(outcome, str) else {name: {"score": score} for name, score in outcome.items()}
    run_info = {
        "run_id": f"judged_{position}",
        "status": "Failed" if failed else "Completed",
        "error": {"message": outcome, "code": "UserError"} if failed else None,
        "inputs": {"answer": "An answer.", "statements": statements, "line_number": position},
        "output": output,
    }
    return {"line_number": position, "run_info": run_info, "status": run_info["status"]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return promptflow's home, an empty one."""
    monkeypatch.setenv("PF_HOME_DIRECTORY", str(tmp_path / "promptflow"))
    return tmp_path / "promptflow"


def old_run(home: Path, *lines: dict[str, Any], name: str = "judged") -> Path:
    """Write a run of promptflow, a file for each line, and return its folder."""
    folder = home / ".runs" / name
    (folder / "flow_artifacts").mkdir(parents=True)
    for line in lines:
        file = f"{line.get('line_number', 0):09}_{line.get('line_number', 0):09}.jsonl"
        (folder / "flow_artifacts" / file).write_text(json.dumps(line) + "\n")
    return folder


def new_run(folder: Path, *scores: tuple[int | None, int | None]) -> list[Row]:
    """Write a run of ours and return its rows."""
    rows = [row(number, STATEMENTS, each) for number, each in enumerate(scores, start=1)]
    folder.mkdir()
    write_rows(folder / "details.jsonl", rows)
    return rows


def test_lines_are_found_by_their_place_and_those_without_a_verdict_are_rows_too(home: Path, tmp_path: Path) -> None:
    ours = new_run(tmp_path / "new", (5, 5), (4, 4), (3, 3), (2, 2))
    folder = old_run(
        home,
        old_line(0, {"short": 4, "right": "5"}),  # the tutorial's judge gives a score as text
        old_line(2, "no judge today"),
        old_line(3, {"short": "unreadable", "right": 2.0}, statements=json.dumps(STATEMENTS)),
    )
    rows = read_old_rows(folder, ours)
    assert [[row.score(name) for name in STATEMENTS] for row in rows] == [[4, 5], [None, None], [None, None], [None, 2]]
    assert [row.error for row in rows] == [None, LEFT_OUT, "no judge today", None]
    assert [row.question for row in rows] == [row.question for row in ours]


def test_both_runs_are_told_over_the_same_lines_with_the_failed_ones_in_the_denominator(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run(tmp_path / "new", (5, 5), (4, None), (4, 4), (5, 4))
    old_run(home, old_line(0, {"short": 4, "right": 4}), old_line(2, "failed"), old_line(3, {"short": 4, "right": 4}))
    assert parity.main(["judged", str(tmp_path / "new")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "short 4.00 2 of 4 2.50 4.50 4 of 4 4.50" in lines
    assert "right 4.00 2 of 4 2.50 4.33 3 of 4 3.50" in lines
    assert "old: 4 lines, 2 judged, 2 failed" in lines
    assert "new: 4 lines, 4 judged, 0 failed" in lines
    assert any(line.startswith("short +1.00") and " 2 " in line for line in lines)


def test_a_statement_that_got_worse_is_exit_code_1(home: Path, tmp_path: Path) -> None:
    new_run(tmp_path / "new", *[(5, 2)] * 20)
    old_run(home, *(old_line(position, {"short": 5, "right": 5}) for position in range(20)))
    assert parity.main(["judged", str(tmp_path / "new")]) == 1


def test_a_line_that_was_judged_by_other_statements_has_no_partner(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_run(tmp_path / "new", (5, 5), (5, 5))
    other = {**STATEMENTS, "right": "It is left."}
    old_run(home, old_line(0, {"short": 5, "right": 5}), old_line(1, {"short": 5, "right": 5}, statements=other))
    assert parity.main(["judged", str(tmp_path / "new")]) == 0
    assert "1 lines compared with the baseline; without a partner: 1 here, 1 there" in capsys.readouterr().out


def test_a_run_is_found_by_its_name_and_by_its_folder(home: Path) -> None:
    folder = old_run(home, old_line(0, {"short": 5}))
    assert folder_of("judged") == folder_of(str(folder)) == folder


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"line_number": 0}], "with 'line_number' and 'run_info'"),
        ([old_line(0, {})], "name the run that evaluates the answers"),
        ([old_line(7, {"short": 5, "right": 5})], "evaluated a line 8, and the run to compare with has 2 lines"),
    ],
    ids=["no line of promptflow", "answers only", "other data"],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[dict[str, Any]], said: str
) -> None:
    new_run(tmp_path / "new", (5, 5), (5, 5))
    old_run(home, *lines)
    assert parity.main(["judged", str(tmp_path / "new")]) == 2
    assert parity.main(["nothing", str(tmp_path / "new")]) == 2
    assert parity.main(["judged", str(tmp_path / "no folder")]) == 2
    first, second, third = capsys.readouterr().err.splitlines()
    assert said in first
    assert "nothing: expected a run of promptflow, its name or the folder with its flow_artifacts" in second
    assert "no folder" in third


@pytest.mark.slow
def test_promptflow_is_not_imported(home: Path, tmp_path: Path) -> None:
    new_run(tmp_path / "new", (5, 5))
    old_run(home, old_line(0, {"short": 5, "right": 5}))
    program = f"""
import sys
sys.modules["promptflow"] = None
from flowkit import parity
sys.exit(parity.main(["judged", {str(tmp_path / "new")!r}]))
"""
    command = [sys.executable, "-c", program]
    subprocess.run(command, cwd=documents.PROJECT, env=dict(os.environ), check=True, capture_output=True, timeout=60)
