"""Means against the statistics module, shards against the whole."""

import json
import math
import random
import statistics
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.data.figures import Mean
from flowkit.scores.metrics import Tally, flat, mean_of, merged, per_statement, summary, tallies

PREFIXES = ["average", "scored", "unscored", "share_4_up", "lowest", "highest", "ci95_low", "ci95_high"]
PREFIXES += ["share_ci95_low", "share_ci95_high"]

Line = dict[str, dict[str, int | None]]

scores = st.integers(1, 5)
maybe_scores = st.none() | scores
# Few names, so that lines share them; two of them look like metrics.
names = st.sampled_from(["correctness", "low_a", "a", "total", ""]) | st.text()
results = st.fixed_dictionaries({"score": maybe_scores})
lines = st.lists(st.dictionaries(names, results, max_size=4))
failures = st.lists(st.lists(names, max_size=3))


def line(**given_scores: int | None) -> Line:
    return {name: {"score": score} for name, score in given_scores.items()}


def test_without_lines_there_is_no_number() -> None:
    assert mean_of([]) == Mean(None, 0, 0, None, None, None, None)


def test_with_nothing_scored_only_the_bounds_are_known() -> None:
    assert mean_of([None, None]) == Mean(None, 0, 2, None, 1, 5, None)


def test_one_score_has_an_interval_already() -> None:
    mean = mean_of([4, None])
    assert replace(mean, ci95=None, share_ci95=None) == Mean(4, 1, 1, 1, 2.5, 4.5, None)
    assert mean.ci95 == pytest.approx((1 + 3 * 0.025, 4 + 1 * 0.975), abs=1e-6)  # a uniform weight of 4 and the end


def test_equal_scores_leave_room_for_those_not_seen() -> None:
    mean = mean_of([5, 5, 5])
    assert mean.ci95 == pytest.approx((1 + 4 * 0.025 ** (1 / 3), 5), abs=1e-6)


@given(st.lists(scores, min_size=1), st.lists(st.none()))
def test_a_mean_agrees_with_the_statistics_module_and_counts_what_is_missing(
    known: list[int], missing: list[None]
) -> None:
    mean = mean_of([*missing, *known])
    assert (mean.scored, mean.unscored) == (len(known), len(missing))
    assert mean.mean == pytest.approx(statistics.fmean(known), rel=1e-12)
    assert mean.share_4_up == pytest.approx(sum(score >= 4 for score in known) / len(known), rel=1e-12)
    assert mean.lowest == pytest.approx(statistics.fmean(known + [1] * len(missing)), rel=1e-12)
    assert mean.highest == pytest.approx(statistics.fmean(known + [5] * len(missing)), rel=1e-12)


@pytest.mark.parametrize("result", [None, 4, "4", [], {}, {"explanation": "?"}])
def test_a_result_without_a_score_is_unscored(result: object) -> None:
    assert tallies([{"a": result}, line(a=4)]) == {"a": Tally((0, 0, 0, 1, 0), unscored=1)}


@pytest.mark.parametrize(
    "score",
    [
        None,
        True,
        0,
        6,
        4.5,
        "4.0",
        "6",
        "",
        "٣",
        np.bool_(True),
        np.array([]),
        math.nan,
        math.inf,
        [4],
        {4: 4},
        10**400,
    ],
)
def test_a_value_that_is_no_score_is_unscored(score: object) -> None:
    assert Tally.of([score]) == Tally(unscored=1)


@pytest.mark.parametrize(
    "score", [4.0, np.int64(4), np.uint8(4), np.float64(4), np.float32(4), "4", " 4\n", np.str_("4")], ids=repr
)
def test_a_score_in_the_types_of_tables_and_as_the_tutorials_judge_writes_it_counts(score: object) -> None:
    assert Tally.of([score]) == Tally.of([4])


def test_pandas_missing_values_are_no_score() -> None:
    pd = pytest.importorskip("pandas", reason="pandas comes with promptflow: pip install -r requirements.txt")
    assert Tally.of([pd.NA, pd.NaT]) == Tally(unscored=2)


@pytest.mark.parametrize("result", [None, np.array([]), "text"], ids=repr)
def test_a_line_that_is_no_object_is_refused_by_its_position(result: object) -> None:
    with pytest.raises(TypeError, match=r"line_results\[1\] must be an object of statement to verdict, got "):
        summary([line(a=4), result])  # type: ignore[list-item]


def test_a_line_without_a_statement_does_not_count_for_it() -> None:
    means = per_statement([line(b=4), line(a=2, b=5), line(a=3)])
    assert [(name, mean.scored, mean.unscored) for name, mean in means.items()] == [("b", 2, 0), ("a", 2, 0)]


def test_a_failed_line_widens_the_bounds_of_its_statements() -> None:
    means = per_statement([line(a=4)], failed=[["a", "b"], ["a"], []])
    assert replace(means["a"], ci95=None, share_ci95=None) == Mean(4, 1, 2, 1, 2, 14 / 3, None)
    assert means["b"] == Mean(None, 0, 1, None, 1, 5, None)


def test_a_summary_is_flat_and_tells_only_what_is_known() -> None:
    (low, high), share = mean_of([4, 5]).ci95 or (None, None), mean_of([4, 5]).share_ci95 or (None, None)
    assert summary([line(a=4, b=None), line(a=5)], failed=[["a"]]) == {
        "average_a": 4.5,
        "scored_a": 2,
        "unscored_a": 1,
        "share_4_up_a": 1,
        "lowest_a": 10 / 3,
        "highest_a": 14 / 3,
        "ci95_low_a": low,
        "ci95_high_a": high,
        "share_ci95_low_a": share[0],
        "share_ci95_high_a": share[1],
        "scored_b": 0,
        "unscored_b": 1,
        "lowest_b": 1,
        "highest_b": 5,
        "total": 2,
    }


def test_a_summary_of_no_lines_is_a_total_of_none() -> None:
    assert summary([]) == {"total": 0}


def test_no_two_statements_can_share_a_key() -> None:
    keys = summary([line(x=4), line(x=5)])
    assert {f"{prefix}_x" for prefix in PREFIXES} | {"total"} == set(keys)
    starts = [key.removesuffix("x") for key in keys]
    assert [(a, b) for a in starts for b in starts if a != b and a.startswith(b)] == []


@given(lines, failures)
def test_a_summary_holds_every_mean_as_plain_finite_numbers(line_results: list[Line], failed: list[list[str]]) -> None:
    metrics = summary(line_results, failed)
    means = per_statement(line_results, failed)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert {type(number) for number in metrics.values()} <= {int, float}
    assert metrics.pop("total") == len(line_results)
    for name, mean in means.items():
        assert metrics.get(f"average_{name}") == mean.mean
        assert (metrics[f"scored_{name}"], metrics[f"unscored_{name}"]) == (mean.scored, mean.unscored)
    expected = sum(4 + 6 * (mean.scored > 0) for mean in means.values())
    assert len(metrics) == expected  # no key was overwritten by another statement's


@given(lines, failures, st.integers(1, 5), st.randoms())
def test_shards_in_any_order_add_up_to_the_whole_exactly(
    line_results: list[Line], failed: list[list[str]], count: int, chance: random.Random
) -> None:
    whole = tallies(line_results, failed)
    shards: list[Mapping[str, Tally]] = [tallies(line_results[i::count], failed[i::count]) for i in range(count)]
    chance.shuffle(shards)
    assert merged(shards) == whole
    assert flat(merged(shards), total=len(line_results)) == summary(line_results, failed)
