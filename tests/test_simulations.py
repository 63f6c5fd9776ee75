"""The intervals hold and equal flows are not told apart: a fast form of tests/simulations.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.scores.intervals import mean_interval, share_interval
from tests import simulations
from tests.simulations import (
    CORRELATIONS,
    LABELS,
    SHAPES,
    T_HANDLES,
    corrections,
    coverage,
    equal_flows_told_apart,
    falls_found,
    ours,
    students,
)

RUNS = 200
FEW_RUNS, AT_LEAST = 100, 0.9  # the whole simulation finds 97 % and more in these cells; 100 runs vary by 1.7 %


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_holds_the_true_mean(shape: str) -> None:
    held = {size: coverage(shape, size, FEW_RUNS, ours)[0] for size in (2, 6, 30)}
    assert min(held.values()) >= AT_LEAST, held


@pytest.mark.parametrize("shape", T_HANDLES)
def test_where_students_t_holds_ours_is_hardly_wider(shape: str) -> None:
    (_, width), (_, t_width) = (coverage(shape, 100, 30, each) for each in (ours, students))
    assert width <= 1.15 * t_width


@pytest.mark.parametrize(("pairs", "statements"), [(3, 10), (10, 3), (30, 1)])
def test_equal_flows_are_told_apart_in_at_most_one_of_twenty(pairs: int, statements: int) -> None:
    assert equal_flows_told_apart(pairs, statements, 100) <= 0.11  # at most 0.05 expected; 100 runs vary by 0.022


def test_a_fall_of_a_quarter_is_found() -> None:
    assert falls_found(100, 0.25, 100) >= 0.75


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_the_corrected_interval_holds_peoples_mean_and_is_no_wider_than_the_labels_alone(correlation: float) -> None:
    for labels in LABELS:
        held, width = corrections("half fives", correlation, labels, RUNS)
        assert held >= 0.89  # the whole simulation finds 93 % and more; 200 runs vary by 1.8 %
        assert width <= (0.8 if correlation == 0.7 else 1.03)


@given(st.dictionaries(st.integers(1, 5), st.integers(1, 40), min_size=1))
def test_the_interval_stays_on_the_scale_and_around_the_mean(counts: dict[float, int]) -> None:
    mean = sum(score * count for score, count in counts.items()) / sum(counts.values())
    low, high = mean_interval(counts, 1, 5) or (9, 9)
    assert 1 <= low <= mean + 1e-6
    assert mean - 1e-6 <= high <= 5


@given(st.integers(0, 60), st.integers(1, 60))
def test_of_a_share_it_is_the_interval_of_clopper_and_pearson(hits: int, misses: int) -> None:
    from scipy import stats

    exact = stats.binomtest(hits, hits + misses).proportion_ci(0.95, method="exact")
    assert share_interval(hits, hits + misses) == pytest.approx((exact.low, exact.high), abs=1e-5)


def test_the_interval_needs_a_score() -> None:
    assert mean_interval({}, 1, 5) is None
    assert simulations.ours((0, 0, 0, 0, 0)) is None
