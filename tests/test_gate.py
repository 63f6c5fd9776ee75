"""Thresholds as people write them, what they decide, and the report a build server reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.data.figures import Figures
from flowkit.data.records import Row
from flowkit.report.junit import write_junit
from flowkit.scores.comparison import Comparison, Difference
from flowkit.scores.gate import Check, Gate, Threshold, check_gate, parse_thresholds
from flowkit.scores.metrics import mean_of

UNDECIDED = "no difference that this many lines can show"
KNOWN = ["correctness", "a=b", "", "consise"]
NOTHING = Figures({}, 0, 0, 0, 0)

THRESHOLDS = [
    ("correctness=4", Threshold("correctness", 4)),
    ("correctness=4.5", Threshold("correctness", 4.5)),
    ("correctness=1", Threshold("correctness", 1)),
    ("consise=5.0", Threshold("consise", 5)),
    ("a=b=3", Threshold("a=b", 3)),
    ("=3", Threshold("", 3)),
]
BAD_THRESHOLDS = [
    ("correctness", "expected NAME=X such as correctness=4, got 'correctness'"),
    ("", "expected NAME=X such as correctness=4, got ''"),
    ("speed=4", "no statement is called 'speed'; known are 'correctness', 'a=b', '', 'consise'"),
    ("a=3", "no statement is called 'a'"),
    ("correctness =4", "no statement is called 'correctness '"),
    ("correctness=", "'correctness': expected a number from 1 to 5, got ''"),
    ("correctness=four", "expected a number from 1 to 5, got 'four'"),
    ("correctness=0.99", "expected a number from 1 to 5, got '0.99'"),
    ("correctness=5.01", "expected a number from 1 to 5, got '5.01'"),
    ("correctness=-4", "expected a number from 1 to 5, got '-4'"),
    ("correctness=nan", "expected a number from 1 to 5, got 'nan'"),
    ("correctness=inf", "expected a number from 1 to 5, got 'inf'"),
    ("correctness=4,5", "expected a number from 1 to 5, got '4,5'"),
]


def figures_of(*scores: int | None, name: str = "correctness") -> Figures:
    return replace(NOTHING, statements={name: mean_of(scores)} if scores else {})


def compared(**differences: tuple[float | None, str]) -> Comparison:
    told = {
        name: Difference(mean, None if mean is None else (mean - 0.4, mean + 0.4), 0 if mean is None else 18, verdict)
        for name, (mean, verdict) in differences.items()
    }
    return Comparison(told, 18, 0, 0)


@pytest.mark.parametrize(("text", "threshold"), THRESHOLDS)
def test_a_threshold_is_read_as_the_table_says(text: str, threshold: Threshold) -> None:
    assert parse_thresholds([text], KNOWN) == [threshold]


@pytest.mark.parametrize(("text", "says"), BAD_THRESHOLDS)
def test_a_bad_threshold_says_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no statement") as raised:
        parse_thresholds(["consise=4", text], KNOWN)
    assert says in str(raised.value)


@given(st.text(), st.integers(100, 500))
def test_a_statement_of_any_name_can_have_a_threshold(name: str, hundredths: int) -> None:
    assert parse_thresholds([f"{name}={hundredths / 100}"], [name]) == [Threshold(name, hundredths / 100)]


def test_a_statement_is_found_however_its_accents_are_written() -> None:
    composed, apart = "Qualit\u00e4t", "Qualita\u0308t"
    assert parse_thresholds([f"{apart}=4"], [composed]) == [Threshold(composed, 4)]
    assert parse_thresholds([f"{apart}=4"], [composed, apart]) == [Threshold(apart, 4)]


@given(st.text())
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no statement") as raised:
        parse_thresholds([text], [])
    assert len(str(raised.value).splitlines()) == 1


def test_two_thresholds_of_one_statement_are_both_checked() -> None:
    thresholds = parse_thresholds(["correctness=4", "correctness=5"], KNOWN)
    assert [check.met for check in check_gate(figures_of(4, 5), thresholds).checks] == [True, False]


FOUR_AND_A_THIRD: list[int | None] = [4, 4, 5] * 6 + [None] * 2
DECISIONS: list[tuple[list[int | None], float, Literal["skip", "worst"], str]] = [
    (FOUR_AND_A_THIRD, 4, "skip", "4.33 of at least 4, 18 of 20 lines scored: met"),
    (FOUR_AND_A_THIRD, 4.5, "skip", "4.33 of at least 4.5, 18 of 20 lines scored: missed"),
    (FOUR_AND_A_THIRD, 4, "worst", "at worst 4.00 of at least 4, 18 of 20 lines scored: met"),
    (FOUR_AND_A_THIRD, 4.1, "worst", "at worst 4.00 of at least 4.1, 18 of 20 lines scored: missed"),
    ([4], 4, "skip", "4.00 of at least 4, 1 of 1 lines scored: met"),
    ([*[4] * 249, 3], 4, "skip", "3.996 of at least 4, 250 of 250 lines scored: missed"),
    ([5, 5, 4], 4.666, "skip", "4.67 of at least 4.666, 3 of 3 lines scored: met"),
    ([5, 5, 4], 4.667, "skip", "4.6667 of at least 4.667, 3 of 3 lines scored: missed"),
    ([None, None], 1, "skip", "no score of at least 1, 0 of 2 lines scored: missed"),
    ([None, None], 1, "worst", "no score of at least 1, 0 of 2 lines scored: missed"),
    ([], 1, "skip", "no score of at least 1, 0 of 0 lines scored: missed"),
]


@pytest.mark.parametrize(("scores", "at_least", "missing", "line"), DECISIONS)
def test_a_threshold_decides_and_tells_its_coverage(
    scores: list[int | None], at_least: float, missing: Literal["skip", "worst"], line: str
) -> None:
    gate = check_gate(figures_of(*scores), [Threshold("correctness", at_least)], missing=missing)
    verdict = "gate passed: 1 of 1 met" if gate.passed else "gate missed: 0 of 1 met"
    assert gate.lines == [f"correctness: {line}", verdict]
    assert gate.passed == line.endswith(": met")


@given(st.lists(st.none() | st.integers(1, 5), min_size=1), st.integers(100, 500))
def test_the_number_shown_stands_on_the_side_that_was_decided(scores: list[int | None], hundredths: int) -> None:
    gate = check_gate(figures_of(*scores), [Threshold("correctness", hundredths / 100)])
    shown = gate.lines[0].split(": ")[1].split(" of ")[0]
    assert gate.passed == (shown != "no score" and float(shown) >= hundredths / 100)


@given(st.lists(st.none() | st.integers(1, 5)), st.integers(100, 500))
def test_what_is_met_at_worst_is_met_otherwise(scores: list[int | None], hundredths: int) -> None:
    figures, thresholds = figures_of(*scores), [Threshold("correctness", hundredths / 100)]
    at_worst = check_gate(figures, thresholds, missing="worst")
    assert check_gate(figures, thresholds).passed >= at_worst.passed


def test_an_unknown_word_for_missing_is_refused() -> None:
    with pytest.raises(KeyError):
        check_gate(figures_of(4), [], missing="best")  # type: ignore[arg-type]


BASELINES = [
    ((-0.333, "worse"), "a: worse than the baseline by 0.33, 18 pairs: missed"),
    (
        (-0.333, UNDECIDED),
        "a: change -0.33, 95 % interval -0.73 to +0.07; some 256 pairs could tell, 18 pairs: cannot tell",
    ),
    ((0.333, "better"), "a: no worse than the baseline by 0.25, 18 pairs: met"),
    ((None, UNDECIDED), "a: nothing to compare with the baseline, 0 pairs: missed"),
]


@pytest.mark.parametrize(("difference", "line"), BASELINES)
def test_the_baseline_decides_as_the_table_says(difference: tuple[float | None, str], line: str) -> None:
    assert check_gate(NOTHING, [], compared(a=difference)).lines[0] == line


def test_one_statement_that_is_worse_than_in_the_baseline_is_enough() -> None:
    gate = check_gate(figures_of(5), [Threshold("correctness", 4)], compared(a=(1, "better"), b=(-1, "worse")))
    assert [check.met for check in gate.checks] == [True, True, False]
    assert gate.lines[-1] == "gate missed: 2 of 3 met"


def test_a_baseline_of_other_lines_is_not_met() -> None:
    gate = check_gate(NOTHING, [], compared())
    assert gate.lines[0] == "no statement of any line is in the baseline too: missed"


def test_where_nothing_was_asked_the_gate_passes() -> None:
    assert check_gate(figures_of(1), []).lines == ["gate passed: 0 of 0 met"]


def test_a_name_of_several_lines_stays_on_one() -> None:
    gate = check_gate(figures_of(5, name="a\nb\t c"), [Threshold("a\nb\t c", 4)])
    assert gate.lines[0] == "a b c: 5.00 of at least 4, 1 of 1 lines scored: met"


def row(number: int, question: str, error: str | None = None) -> Row:
    return Row(number, question, error=error)


def read(path: Path) -> ElementTree.Element:
    suite = ElementTree.parse(path).getroot().find("testsuite")
    assert suite is not None
    return suite


def test_the_report_has_a_test_for_each_line_and_each_check(tmp_path: Path) -> None:
    gate = Gate((Check("good at least 4", "good: 3.00 of ...: missed", False), Check("short at least 2", "met", True)))
    rows = [row(1, "What is it?"), row(2, "Who?", "lost"), row(3, "Why? " * 40, "RateLimitError: 429\nslow down")]
    write_junit(tmp_path / "ci" / "junit.xml", rows, gate, data="data.jsonl")
    suite = read(tmp_path / "ci" / "junit.xml")
    assert suite.attrib == {"name": "data.jsonl", "tests": "5", "errors": "2", "failures": "1"}
    cases = [(case.get("classname"), case.get("name")) for case in suite]
    long = "line 3: Why? Why? Why? Why? Why? Why? Why? Why? Why? Why? Why? Why? ..."
    assert cases == [
        ("data.jsonl", "line 1: What is it?"),
        ("data.jsonl", "line 2: Who?"),
        ("data.jsonl", long),
        ("gate", "good at least 4"),
        ("gate", "short at least 2"),
    ]
    assert [[child.tag for child in case] for case in suite] == [[], ["error"], ["error"], ["failure"], []]
    error, failure = suite[2][0], suite[3][0]
    assert (error.get("message"), error.text) == ("RateLimitError: 429 slow down", "RateLimitError: 429\nslow down")
    assert failure.get("message") == "good: 3.00 of ...: missed"


def test_what_cannot_be_told_is_neither_met_nor_missed(tmp_path: Path) -> None:
    gate = check_gate(NOTHING, [], compared(a=(-0.1, UNDECIDED), b=(1, "better")))
    assert (gate.passed, gate.missed) == (False, False)
    assert gate.lines[-1] == "gate cannot tell: 1 of 2 met"
    write_junit(tmp_path / "junit.xml", [], gate)
    suite = read(tmp_path / "junit.xml")
    assert suite.attrib == {"name": "data.jsonl", "tests": "2", "errors": "0", "failures": "0", "skipped": "1"}
    assert [[child.tag for child in case] for case in suite] == [["skipped"], []]


@pytest.mark.parametrize(
    ("scores", "at_least", "outcome", "note"),
    [
        ([4, 5] * 100, 4, "met", "correctness: the 95 % interval is 4.40 to 4.57: it agrees"),
        ([4, 5] * 100, 4.7, "missed", "correctness: the 95 % interval is 4.40 to 4.57: it agrees"),
        ([5, 5, 4], 4, "cannot tell", "correctness: the 95 % interval is 2.06 to 4.99: 3 lines cannot tell; some 46"),
        ([3, 4] * 3, 3.6, "cannot tell", "6 lines cannot tell; some"),
    ],
)
def test_who_wants_to_be_sure_holds_the_whole_interval_against_the_threshold(
    scores: list[int | None], at_least: float, outcome: str, note: str
) -> None:
    (check,) = check_gate(figures_of(*scores), [Threshold("correctness", at_least)], sure=True).checks
    assert check.outcome == outcome
    assert note in check.note
    (usual,) = check_gate(figures_of(*scores), [Threshold("correctness", at_least)]).checks
    assert usual.outcome != "cannot tell"
    assert usual.note == check.note


HOSTILE = [
    ("]]>", "]]>"),
    ("<script>alert('1')</script>", "<script>alert('1')</script>"),
    ('"&amp;&#0;<!--', '"&amp;&#0;<!--'),
    ("a\0b\x1bc", "a\ufffdb\ufffdc"),
    ("\ud83d and \ude00", "\ufffd and \ufffd"),
    ("\uffff\ufffe", "\ufffd\ufffd"),
    ("\U0001f600 \u2028 \x85", "\U0001f600 \u2028 \x85"),
]


@pytest.mark.parametrize(("text", "survives"), HOSTILE)
def test_hostile_text_survives(tmp_path: Path, text: str, survives: str) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, [row(1, text, text)], Gate((Check(text, text, False),)), data=text)
    suite = read(path)
    assert suite[0][0].text == survives
    assert suite[1][0].get("message") == suite[1].get("name") == suite[0].get("classname") == survives
    assert suite[0].get("name") == f"line 1: {' '.join(survives.split())}"


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_gives_a_report_that_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, question: str, error: str
) -> None:
    path = tmp_path_factory.mktemp("junit") / "junit.xml"
    write_junit(path, [row(1, question, error), row(2, question)], Gate((Check(question, error, False),)))
    suite = read(path)
    assert [case.get("classname") for case in suite] == ["data.jsonl", "data.jsonl", "gate"]
    if error:
        assert printable(suite[0][0].text or "") == printable(error)


def printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() and character != "\ufffd")
