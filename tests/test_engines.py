"""The engines give the same rows, figures and exit code for the same replies; a file that changes costs its change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flowkit.run.folder import hold
from tests.chat_server import Act, Answer, ChatServer, Status
from tests.desk import STATEMENTS, VERDICT, Desk, healthy

FORMER_RUN = Path(__file__).absolute().parent / "data" / "run_of_format_1"


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Desk:
    server.usual = healthy
    return Desk(tmp_path, server, lines=20)


def some_fail(body: dict[str, Any]) -> Act:
    """Refuse some lines, cut some answers, leave some empty, and judge some unreadably; the same ones each time."""
    text = json.dumps(body["messages"])
    if body.get("stream"):
        asked = str(body["messages"][-1]["content"])
        if "7?" in asked:
            return Status(400, "refused on purpose")
        if "5?" in asked:
            return Answer(deltas=["Re: ", asked], finish="length")
        return Answer(deltas=[]) if "Question 33?" in asked else healthy(body)
    if "Question 11?" in text or "Question 205?" in text:
        return Answer(deltas=["I would say so."])
    return Status(400, "no judge today") if "Question 12?" in text and "It is right" in text else VERDICT


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "timing": sorted(row["timing"] or {})} for row in rows]


@pytest.mark.promptflow
@pytest.mark.slow
def test_the_engines_of_this_machine_give_the_same_rows_and_figures(tmp_path: Path, server: ChatServer) -> None:
    server.usual = some_fail
    desk = Desk(tmp_path, server, lines=240)
    codes = [desk.run("--quiet", "--out", engine, "--engine", engine)[0] for engine in ("local", "promptflow")]
    assert codes == [3, 3]
    local, promptflow = (without_times(desk.rows(engine)) for engine in ("local", "promptflow"))
    assert local == promptflow
    assert sum(row["error"] is not None for row in local) == 24 + 1
    figures = [desk.metrics(engine) for engine in ("local", "promptflow")]
    for each in figures:
        del each["run"], each["timing"]
    assert figures[0] == figures[1]
    assert figures[0]["endings"] == {"cut": 24, "filtered": 0, "refused": 0, "empty": 1}
    assert (figures[0]["scored_right"], figures[0]["unscored_right"]) == (212, 28)


def requests_of(desk: Desk, *arguments: str) -> tuple[int, int]:
    """Run the program; return how many answers and how many verdicts it asked for."""
    desk.server.requests.clear()
    code, printed = desk.run_here("--quiet", *arguments)
    assert code == 0, printed
    streamed = sum(bool(seen.body.get("stream")) for seen in desk.server.requests)
    return streamed, len(desk.server.requests) - streamed


def rewrite(desk: Desk, lines: list[dict[str, Any]]) -> None:
    (desk.folder / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_changed_file_costs_what_has_changed(desk: Desk) -> None:
    assert requests_of(desk) == (20, 40)
    lines = [json.loads(line) for line in (desk.folder / "data.jsonl").read_text().splitlines()]
    rewrite(desk, lines[::-1])
    assert requests_of(desk, "--resume", "out") == (0, 0)
    rewrite(desk, [{"question": "New?", "statements": STATEMENTS}, *lines])
    assert requests_of(desk, "--resume", "out") == (1, 2)
    rewrite(desk, [{**line, "statements": {**STATEMENTS, "kind": "It is kind."}} for line in lines])
    assert requests_of(desk, "--resume", "out") == (0, 20)
    assert [row["question"] for row in desk.rows()] == [line["question"] for line in lines]


def test_lines_that_ask_the_same_have_an_answer_each(desk: Desk) -> None:
    line = {"question": "Again?", "statements": {"short": "It is short."}}
    rewrite(desk, [line, line, {**line, "statements": {"right": "It is right."}}])
    assert requests_of(desk) == (3, 3)
    rewrite(desk, [{**line, "statements": {"right": "It is right."}}, line, line])
    assert requests_of(desk, "--resume", "out") == (0, 0)
    rewrite(desk, [line] * 3)
    assert requests_of(desk, "--resume", "out")[0] == 0


def test_an_unreadable_verdict_is_asked_for_again_and_what_one_statement_lost_costs_the_others_nothing(
    desk: Desk,
) -> None:
    desk.server.usual = some_fail
    assert desk.run_here("--quiet")[0] == 3
    rows = desk.rows()
    assert rows[12]["verdicts"]["short"]["score"] == 4
    assert "no judge today" in rows[12]["error"]
    assert rows[12]["error"].endswith("(statement 'right')")
    desk.server.usual = healthy
    # Lines 8 and 18 were refused, line 12 had an unreadable verdict on both statements, line 13 lacks one.
    assert requests_of(desk, "--resume", "out") == (2, 2 * 2 + 2 + 1)


@pytest.fixture
def former_run(tmp_path: Path, server: ChatServer) -> Desk:
    """Return a desk with a run of three lines as format 1 kept it, one of them failed."""
    server.usual = healthy
    desk = Desk(tmp_path, server, lines=3)
    shutil.copytree(FORMER_RUN, tmp_path / "out")
    return desk


def test_a_run_of_format_1_is_resumed_reported_and_compared(former_run: Desk) -> None:
    prompt = str(FORMER_RUN.parent / "eval_checklist_of_answers_alone.prompty")  # it shows what it showed
    with_it = ("--judge-prompt", prompt, "--baseline", str(FORMER_RUN))
    assert requests_of(former_run, "--resume", "out", *with_it) == (1, 2)
    former_run.check_complete()
    assert "format" in former_run.metrics()
    assert requests_of(former_run, "--resume", "out") == (0, 6)  # a judge that sees the question is another one
    former_run.check_complete()


def test_of_two_runs_in_one_folder_the_second_is_refused(desk: Desk) -> None:
    lock = hold(desk.folder / "out")
    try:
        code, printed = desk.run_here()
        assert (code, desk.server.requests) == (2, [])
        assert "batch.py: out: another run is writing there" in printed
    finally:
        lock.release()
    assert desk.run_here("--quiet")[0] == 0


def test_a_fresh_start_keeps_every_earlier_journal(desk: Desk) -> None:
    for _ in range(3):
        code, printed = desk.run_here("--quiet")
        assert code == 0
    assert "an earlier run's answers are kept in out/journal.previous-2.jsonl" in printed
    assert len((desk.folder / "out" / "journal.previous.jsonl").read_bytes().splitlines()) == 60
