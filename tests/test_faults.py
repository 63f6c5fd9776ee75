"""A fifth of the requests fail in eleven ways: each line ends with its own truth, and nothing is paid for twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import run

LINES = 100


@pytest.mark.slow
def test_each_line_ends_with_its_own_truth_and_what_was_given_is_not_asked_for_again(tmp_path: Path) -> None:
    found = run(tmp_path, LINES)
    first, resumed = found["rows"]
    assert found["exit codes"] == [3, 3]  # one line in ten is refused for its content
    for number, row in enumerate(resumed):
        if number % 10 == 7:
            assert "the prompt was filtered" in row["error"]
        else:
            assert row["answer"] == f"Re: Question {number}?", row
            assert {verdict["score"] for verdict in row["verdicts"].values()} == {4}
    assert all(row["error"] or row["answer"] == f"Re: Question {i}?" for i, row in enumerate(first))
    assert found["given twice"] == 0
    assert found["requests"][1] <= found["missing after the first pass"]
