"""Scores on two scales: how they are read, asked for, summed up, compared and required."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from check_list import EXAMPLES, EvalFlow
from flowkit.base.scale import FIVE, PASS, scale_named
from flowkit.data.figures import Figures, Mean, read_figures, write_figures
from flowkit.data.records import Row, Rule, Verdict
from flowkit.data.rows import read_rows, write_rows
from flowkit.judge.messages import Asked, check_scales
from flowkit.judge.reading import parse
from flowkit.prompt.prompty import Prompt
from flowkit.scores import metrics
from flowkit.scores.comparison import compare, lines_needed
from flowkit.scores.gate import Threshold, check_gate, parse_thresholds
from flowkit.scores.intervals import share_interval
from flowkit.scores.sample import draw
from flowkit.scores.sums import sum_up
from tests.chat_server import Answer, ChatServer
from tests.runs import row

PROMPT = Prompt.load(Path(__file__).absolute().parent.parent / "eval_checklist.prompty")
PASSES, BOTH = {"passes": Rule("pass")}, {"scored": "It is.", "passes": "It was."}


def passed(line: int, score: int | None, **more: Any) -> Row:
    """Return a row with a statement that passes or fails."""
    made = row(line, {"passes": "It was."}, [score], rules=PASSES, **more)
    verdicts = {name: replace(verdict, scale="pass") for name, verdict in (made.verdicts or {}).items()}
    return replace(made, verdicts=verdicts)


@pytest.mark.parametrize(
    ("written", "score"),
    [
        ("true", 1),
        ("false", 0),
        ('"true"', 1),
        ('" False "', 0),
        ("True", 1),
        ("1", None),
        ("0", None),
        ("5", None),
        ('"pass"', 1),
        ('"No"', 0),
        ("TRUE", 1),
        ('"maybe"', None),
        ("null", None),
        ("[true]", None),
    ],
)
def test_a_judge_that_passes_or_fails_says_true_or_false(written: str, score: int | None) -> None:
    reading = parse(f'{{"explanation": "So it is.", "score": {written}}}', PASS)
    assert reading.score == score
    if score is None:
        assert reading.explanation.startswith("score must be true or false, got ")


def test_neither_scale_takes_what_is_said_on_the_other() -> None:
    assert parse('{"score": true}').explanation == "score must be an integer from 1 to 5, got true"
    assert (FIVE.as_score(True), PASS.as_score(2), PASS.as_score(1.0), FIVE.as_score("4")) == (None, None, 1, 4)
    assert [FIVE.share(score) for score in (1, 3, 5)] == [0, 0.5, 1]
    with pytest.raises(ValueError, match="scale must be '1 to 5' or 'pass', got 'ten'"):
        scale_named("ten")


def test_the_judge_is_asked_for_true_or_false_and_once_more_where_it_gives_a_number(server: ChatServer) -> None:
    for score in (4, True):
        server.script.append(Answer(deltas=[json.dumps({"explanation": "It is short.", "score": score})]))
    flow = EvalFlow({"model": "judge-of-passes", "base_url": server.base_url, "api_key": "sk"})
    verdict: Verdict = asyncio.run(flow.verdict("Yes.", "It is short.", scale=PASS))
    assert (verdict.score, verdict.scale, verdict.asks, verdict.read_by) == (1, "pass", 2, "schema")
    first, second = (seen.body for seen in server.requests)
    form = first["response_format"]["json_schema"]["schema"]["properties"]
    assert form["score"] == {"type": "boolean"}
    assert '"score": <true or false>' in first["messages"][0]["content"]
    assert "from 1 to 5" not in json.dumps(second["messages"])
    assert second["messages"][-1]["content"].endswith('"score": <true or false>}')


def test_the_examples_pass_where_they_have_4_or_5() -> None:
    asked = Asked(PROMPT, "A", "S", EXAMPLES, PASS).messages()[-1]["content"]
    assert [asked.count(f'"score": {score}}}') for score in ("true", "false", "5", "3", "1")] == [1, 2, 0, 0, 0]
    with pytest.raises(ValueError, match="a statement with scale: pass needs the input pass_or_fail in the prompt"):
        check_scales(replace(PROMPT, inputs=("answer", "statement")), [FIVE, PASS])


def test_the_mean_of_passes_is_a_share_with_the_interval_of_a_share() -> None:
    figures = sum_up([passed(i, score) for i, score in enumerate([1, 1, 0, None])])
    mean = figures.statements["passes"]
    assert (mean.mean, mean.scored, mean.unscored, mean.scale) == (2 / 3, 3, 1, "pass")
    assert (mean.lowest, mean.highest, mean.share_4_up) == (2 / 4, 3 / 4, 2 / 3)
    assert mean.ci95 == mean.share_ci95 == share_interval(2, 3)
    verdicts: list[dict[str, Any]] = [{"passes": {"score": score, "scale": "pass"}} for score in (1, 1, 0, None)]
    assert metrics.summary(verdicts)["lowest_passes"] == 2 / 4


def test_figures_and_rows_of_both_scales_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [replace(passed(1, 0), extra={"topic": "geo"}), row(2, {"scored": "It is."}, [4])]
    figures = sum_up(rows, by="topic")
    write_rows(tmp_path / "details.jsonl", rows)
    write_figures(tmp_path, figures)
    assert list(read_rows(tmp_path)) == rows
    assert read_figures(tmp_path) == figures
    assert [group.total for group in figures.groups.values()] == [1, 1]
    assert list(figures.groups) == ["", "geo"]


def test_passes_are_compared_by_the_same_test_within_minus_1_and_1() -> None:
    now, before = [passed(i, 1) for i in range(12)], [passed(i, int(i < 2)) for i in range(12)]
    (change,) = compare(now, before).differences.values()
    assert (change.mean, change.pairs, change.verdict) == (10 / 12, 12, "better")
    assert change.p == pytest.approx(2 / 2**10)
    assert change.ci95
    assert 0 < change.ci95[0] < change.ci95[1] <= 1
    assert change.shows
    assert change.shows <= 1
    assert lines_needed(replace(change, pairs=0, shows=None), 0.25) == 16
    from_1_to_5 = [row(i, {"passes": "It was."}, [4]) for i in range(12)]
    assert compare(now, from_1_to_5).differences["passes"].pairs == 0  # other scales have no difference


def test_a_threshold_and_a_margin_are_on_the_statements_own_scale() -> None:
    scales = {"passes": PASS, "scored": FIVE}
    assert parse_thresholds(["passes=0.9", "scored=4"], BOTH, scales) == [
        Threshold("passes", 0.9),
        Threshold("scored", 4),
    ]
    with pytest.raises(ValueError, match="'passes': expected a number from 0 to 1, got '4'"):
        parse_thresholds(["passes=4"], BOTH, scales)
    figures = sum_up([passed(i, int(i > 0)) for i in range(10)])
    assert check_gate(figures, [Threshold("passes", 0.9)]).passed
    assert not check_gate(figures, [Threshold("passes", 0.95)]).passed
    same = [passed(i, 1) for i in range(60)]
    gate = check_gate(figures, [], compare(same, same))
    assert gate.lines[0] == "passes: no worse than the baseline by 0.0625, 60 pairs: met"


def test_weights_make_one_average_of_all_scales_that_says_what_is_missing() -> None:
    rules = {"scored": Rule(weight=1.0), "passes": Rule("pass", 3.0)}
    given: list[list[int | None]] = [[5, 1], [1, 1], [3, 0], [None, 1], [5, None]]  # 1, 0.75, 0.125, ?, ?
    rows = [row(i, BOTH, scores, rules=rules) for i, scores in enumerate(given)]
    weighted = sum_up(rows).weighted_average
    assert weighted
    assert (weighted.scored, weighted.unscored) == (3, 2)
    assert weighted.mean == pytest.approx((1 + 0.75 + 0.125) / 3)
    assert weighted.lowest == pytest.approx((1 + 0.75 + 0.125 + 0.75 + 0.25) / 5)
    assert weighted.highest == pytest.approx((1 + 0.75 + 0.125 + 1 + 1) / 5)
    assert weighted.ci95
    assert 0 <= weighted.ci95[0] < 1.875 / 3 < weighted.ci95[1] <= 1
    assert sum_up([row(1, BOTH, [5, 4])]).weighted_average is None


def test_people_are_asked_for_statements_from_1_to_5_alone() -> None:
    rows = [row(i, BOTH, [4, 1], rules=PASSES) for i in range(3)]
    assert draw(rows).population == {"scored": 3}


def test_metrics_of_before_have_means_from_1_to_5(tmp_path: Path) -> None:
    write_figures(tmp_path, Figures({"a": Mean(4.0, 1, 0, 1.0, 4.0, 4.0, None)}, 1, 1, 1, 0))
    assert "scale" not in (tmp_path / "metrics.json").read_text()
    assert read_figures(tmp_path).statements["a"].scale == FIVE.name
