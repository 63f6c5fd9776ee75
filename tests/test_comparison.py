"""Two runs side by side: who is whose partner, and how sure the difference is."""

from __future__ import annotations

import itertools
import json
import operator
import random
import time
import timeit
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.data.records import Row, Verdict
from flowkit.report.terminal import print_comparison
from flowkit.scores.comparison import Comparison, Difference, compare, differences_of
from flowkit.scores.sign_flip import EXACT_TO, holm, p_value

UNDECIDED = "no difference that this many lines can show"


def row(question: str = "Q?", *, history: list[Any] | None = None, **scores: int | None) -> Row:
    verdicts = {name: Verdict(score) for name, score in scores.items()}
    statements = {name: f"It is {name}." for name in scores}
    return Row(1, question, history or [], statements=statements, verdicts=verdicts)


def failed(question: str, *names: str) -> Row:
    return replace(row(question, **dict.fromkeys(names)), verdicts=None, error="lost")


def run_of(scores: list[int]) -> list[Row]:
    return [row(f"Q{i}?", good=score) for i, score in enumerate(scores)]


def without_tests(difference: Difference) -> Difference:
    return replace(difference, p=None, shows=None)


def good(now: list[int], before: list[int]) -> Difference:
    return compare(run_of(now), run_of(before)).differences["good"]


VERDICTS = [
    ([5] * 9, [4] * 9, "better"),
    ([3] * 9, [4] * 9, "worse"),
    ([4] * 9, [4] * 9, UNDECIDED),
    ([5, 3] * 9, [4, 4] * 9, UNDECIDED),
    ([5, 5, 5, 4] * 9, [4, 4, 4, 5] * 9, "better"),
    ([5], [1], UNDECIDED),
]


@pytest.mark.parametrize(("now", "before", "verdict"), VERDICTS)
def test_the_verdict_is_as_the_table_says(now: list[int], before: list[int], verdict: str) -> None:
    assert good(now, before).verdict == verdict


def test_five_changes_for_the_better_decide_nothing_and_six_do() -> None:
    assert good([4] * 5, [3] * 5).verdict == "no difference that this many lines can show"
    assert good([4] * 6, [3] * 6).verdict == "better"


def test_one_pair_has_a_difference_and_no_interval() -> None:
    assert without_tests(good([5], [3])) == Difference(2, None, 1, UNDECIDED)


def test_a_line_counts_for_a_statement_only_if_both_runs_scored_it() -> None:
    now = [row("A?", good=5, short=4), row("B?", good=None, short=4), failed("C?", "good", "short")]
    before = [row("A?", good=4, short=None), row("B?", good=4, short=2), row("C?", good=1, short=1)]
    differences = compare(now, before).differences
    assert [(name, each.mean, each.pairs) for name, each in differences.items()] == [("good", 1, 1), ("short", 2, 1)]


def test_a_statement_without_any_score_has_no_difference() -> None:
    assert compare([failed("A?", "good")], [row("A?", good=5)]).differences == {
        "good": Difference(None, None, 0, UNDECIDED)
    }


def test_lines_are_partners_by_content_whatever_their_order() -> None:
    now, before = run_of([1, 2, 3, 4, 5]), run_of([1, 2, 3, 4, 5])
    random.Random(7).shuffle(before)
    comparison = compare(now, before)
    low, high = comparison.differences["good"].ci95 or (9, 9)
    assert low == pytest.approx(-high)
    assert high == pytest.approx(4 * (1 - 0.025 ** (1 / 5)), abs=1e-6)
    assert comparison.paired == 5


TURN = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
OTHERS = [
    row("Another?", good=4),
    row("Q?", good=4, short=4),
    row("Q?", history=TURN, good=4),
    replace(row("Q?", good=4), statements={"good": "It is very good."}),
]


@pytest.mark.parametrize("other", OTHERS)
def test_another_question_statement_or_history_is_another_line(other: Row) -> None:
    comparison = compare([row("Q?", good=4), row("Same?", good=4)], [other, row("Same?", good=4), other])
    assert (comparison.paired, comparison.without_partner, comparison.baseline_without_partner) == (1, 1, 2)


def test_rows_of_a_former_version_carry_no_history_and_find_their_partners() -> None:
    before = replace(row("Q?", good=3), chat_history=None)
    assert compare([row("Q?", history=TURN, good=4)], [before]).differences["good"].mean == 1


def test_the_order_of_the_statements_tells_no_lines_apart() -> None:
    assert compare([row(good=4, short=4)], [row(short=4, good=4)]).paired == 1


def test_duplicates_are_partners_in_order() -> None:
    now, before = [row(good=5), row(good=None), row(good=5)], [row(good=5), row(good=1)]
    comparison = compare(now, before)
    assert without_tests(comparison.differences["good"]) == Difference(0, None, 1, UNDECIDED)
    assert (comparison.paired, comparison.without_partner, comparison.baseline_without_partner) == (2, 1, 0)


changes = st.lists(st.integers(-4, 4), max_size=11)


@given(changes)
def test_the_p_value_is_that_of_all_signs_tried(found: list[int]) -> None:
    sizes = [abs(change) for change in found]
    sums = [sum(map(operator.mul, sizes, signs)) for signs in itertools.product((1, -1), repeat=len(sizes))]
    assert p_value(found) == pytest.approx(sum(abs(each) >= abs(sum(found)) for each in sums) / len(sums))


def test_for_very_many_changes_the_p_value_goes_on_smoothly() -> None:
    ups, downs = EXACT_TO // 2 + 30, EXACT_TO // 2 - 30
    exact, normal = p_value([1] * ups + [-1] * downs), p_value([1] * (ups + 1) + [-1] * (downs + 1))
    assert exact == pytest.approx(normal, rel=0.005)


def test_holm_corrects_by_rank_and_never_lets_a_larger_one_pass_before_a_smaller() -> None:
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({}) == {}


def test_many_statements_make_the_same_change_less_certain() -> None:
    alone, among_ten = {"a": [1] * 6}, {"a": [1] * 6, **{str(i): [0] * 6 for i in range(9)}}
    assert differences_of(alone)["a"].verdict == "better"
    assert differences_of(among_ten)["a"].verdict == UNDECIDED


def test_what_the_pairs_can_show_shrinks_with_their_number() -> None:
    chance = random.Random(1)
    spread = [chance.choice((-1, 0, 0, 1)) for _ in range(400)]
    few, many = (differences_of({"a": spread[:count]})["a"].shows or 9 for count in (50, 400))
    assert few == pytest.approx(many * 8**0.5, rel=0.2)
    assert 0.2 < few < 0.4


def test_the_same_runs_give_the_same_interval_again() -> None:
    now, before = [5, 4, 4, 2, 5, 3], [3, 4, 5, 2, 1, 1]
    assert good(now, before) == good(now, before)
    assert good(now, before).ci95 == good(now[::-1], before[::-1]).ci95


def test_ten_thousand_pairs_take_less_than_a_second() -> None:
    chance = random.Random(5)
    now, before = ([chance.randint(1, 5) for _ in range(10_000)] for _ in range(2))
    rows, baseline = run_of(now), run_of(before)
    assert compare(rows, baseline).differences["good"].pairs == 10_000
    assert min(timeit.repeat(lambda: compare(rows, baseline), timer=time.process_time, number=1, repeat=3)) < 1


@given(st.lists(st.tuples(st.text(), st.none() | st.integers(1, 5), st.none() | st.integers(1, 5)), max_size=8))
@settings(max_examples=50)
def test_a_comparison_is_plain_json_and_loses_no_line(lines: list[tuple[str, int | None, int | None]]) -> None:
    rows = [row(text, good=now) for text, now, _ in lines]
    comparison = compare(rows, [row(text, good=before) for text, _, before in lines[1:]])
    assert comparison.paired + comparison.without_partner == len(lines)
    assert comparison.baseline_without_partner == 0
    told = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert told["paired"] == comparison.paired
    assert "sign-flip" in told["method"]
    assert "Holm" in told["method"]


def test_it_is_printed_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    some, none = Difference(-1 / 3, (-0.61, -0.06), 10_000, UNDECIDED), Difference(None, None, 0, UNDECIDED)
    print_comparison(Comparison({"a long name of a statement " * 4: some, "1e5": none}, 10_000, 123, 45))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for told in ("-0.33", "-0.61 to -0.06", "10000", "1e5", "10000 lines compared", "123 here, 45 there"):
        assert told in printed
