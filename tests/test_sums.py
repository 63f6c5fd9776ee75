"""The sums of a run, whole or in shards."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.data.records import Row
from flowkit.scores.sums import Sums, sum_up
from tests.runs import failed, row

STATEMENTS = {"a": "It is.", "b": "It was."}
scores = st.lists(st.none() | st.integers(1, 5), min_size=2, max_size=2)
RULES = {"a": {"weight": 2.5}, "b": {"weight": 1.0}}
extra = st.sampled_from([{}, {"topic": "geo"}, {"topic": 1}, {"topic": None, "other": True}])
rows = st.lists(
    st.builds(
        lambda given, extra: (
            failed(1, STATEMENTS) if given is None else row(1, STATEMENTS, given, rules=RULES, extra=extra)
        ),
        st.none() | scores,
        extra,
    )
)


@settings(max_examples=30)
@given(st.lists(rows, min_size=1, max_size=5))
def test_the_sums_of_shards_are_those_of_the_whole(shards: list[list[Row]]) -> None:
    added = Sums()
    for shard in shards:
        added.add(Sums.from_dict(json.loads(json.dumps(Sums.of(shard, "topic").as_dict()))))
    whole = [each for shard in shards for each in shard]
    assert added.figures(by="topic") == sum_up(whole, "topic")


def test_statements_keep_the_order_asked_for() -> None:
    sums = Sums.of([row(1, STATEMENTS, [1, 2])])
    assert list(sums.figures(["b", "nowhere"]).statements) == ["b", "a"]


def test_the_counts_of_a_single_line_are_numbers_too() -> None:
    figures = sum_up([row(1, STATEMENTS, [1, 2])])
    assert [type(count) for count in (figures.answered, figures.judged, figures.failed)] == [int] * 3
