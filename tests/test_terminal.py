"""What a run looks like in a terminal: never wider than 80 columns, whatever it is called."""

from __future__ import annotations

import pytest
from wcwidth import wcswidth

from flowkit.data.records import Row
from flowkit.report.terminal import print_failures, print_figures, print_rows
from flowkit.scores.sums import sum_up
from tests.runs import failed, row

TUTORIAL = {"correctness": "It is correct.", "consise": "It is concise."}
FORTY = {f"正確さ {i} - ein langer Name mit Größe": f"Es ist Aussage {i}." for i in range(40)}
RUNS = {
    "tutorial": [row(1, TUTORIAL, [5, 4]), row(12345, TUTORIAL, [1, None]), failed(3, TUTORIAL, "a" * 300)],
    "one word": [row(1, {"a" * 300: "It is."}, [5], answer="a" * 300, question="正確さ" * 50)],
    "forty statements": [row(i, FORTY, [1 + (i + j) % 5 for j in range(40)]) for i in range(30)],
    "all failed": [failed(i, TUTORIAL) for i in range(3)],
    "nothing to judge": [row(1, {}, [])],
}


def printed(rows: list[Row], capsys: pytest.CaptureFixture[str]) -> str:
    names = list(rows[0].statements)
    print_rows(rows, names)
    print_figures(sum_up(rows), names)
    return capsys.readouterr().out


@pytest.mark.parametrize("run", RUNS)
def test_no_table_is_wider_than_the_terminal(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(RUNS[run], capsys).splitlines()
    assert max(map(wcswidth, lines)) <= 80
    assert max(map(wcswidth, lines)) > 50


def test_few_statements_have_a_column_each_and_many_the_mean_and_the_lowest(capsys: pytest.CaptureFixture[str]) -> None:
    few = printed(RUNS["tutorial"], capsys).splitlines()
    assert few[0].split() == ["line", "question", "answer", "correctness", "consise"]
    assert few[2].split()[-2:] == ["5", "4"]
    assert any(line.split()[-2:] == ["1", "?"] for line in few if "12345" in line)
    many = printed(RUNS["forty statements"], capsys).splitlines()
    assert many[0].split() == ["line", "question", "answer", "mean", "lowest"]
    assert many[2].split()[-2:] == ["3.00", "1"]
    assert "... and 10 more lines" in many


def test_passes_groups_and_a_weighted_average_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    statements = {"polite": "It is polite.", "right": "It is right."}
    rules = {"polite": {"scale": "pass", "weight": 1.0}, "right": {"weight": 3.0}}
    topics = ["geo", None, *(f"topic {i}" for i in range(30))]
    rows = [
        row(i, statements, [int(i != 1), 4], rules=rules, extra={"topic": topic}) for i, topic in enumerate(topics, 1)
    ]
    print_rows(rows, list(statements))
    print_figures(sum_up(rows, "topic"), list(statements))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(wcswidth, lines)) <= 80
    assert [line.split()[-2:] for line in lines if line.startswith("     ") and "Question" in line][:2] == [
        ["fail", "4"],
        ["pass", "4"],
    ]
    (weighted,) = (line for line in lines if line.startswith("weighted average, from 0 to 1: 0.80, 95 % 0."))
    assert weighted.endswith(", 32 of 32 lines scored")
    found = [line.split() for line in lines[lines.index("") :]]
    assert ["geo", "1", "polite", "0.00", "0.00-0.97", "1", "of", "1"] in found
    assert ["(none)", "1", "right", "4.00", "1.08-4.97", "1", "of", "1"] in found
    assert "... and 56 more, in metrics.json and report.html" in lines


def test_failures_are_told_by_kind_the_most_frequent_first(capsys: pytest.CaptureFixture[str]) -> None:
    refused = [failed(i, TUTORIAL, f"BadRequestError: Error code: 400 - no {i}") for i in (4, 5)]
    print_failures([failed(1, TUTORIAL, "TimeoutError: late"), *refused], ["promptflow gave up"])
    assert capsys.readouterr().out.splitlines() == [
        "2 x BadRequestError: Error code: 400 - no 4 (line 4)",
        "1 x TimeoutError: late (line 1)",
        "promptflow gave up",
    ]
