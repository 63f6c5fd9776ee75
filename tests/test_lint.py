"""Which statements are pointed out, and which are left in peace."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.data.lines import read_lines
from flowkit.data.lint import lint
from flowkit.data.records import Line

PROJECT = Path(__file__).absolute().parent.parent
NUMBER, NOTHING = "it wants a number and does not say of what", "it says nothing"
QUESTION, MESSAGE = "it speaks of the question", "it speaks of another message"
EXPECTED, COMPARED = "it speaks of what was expected", "it compares with something"

POINTED_OUT = [
    ("", NOTHING),
    (" \n", NOTHING),
    ("...", NOTHING),
    ("_", NOTHING),
    ("result should be 1", NUMBER),
    ("The result should be 1.", NUMBER),
    ("RESULT MUST BE 1", NUMBER),
    ("The final result should equal -1,000.5%", NUMBER),
    ("output: 42", NUMBER),
    ("value = 3", NUMBER),
    ("count==3", NUMBER),
    ("its value equals three", NUMBER),
    ("The total is 12!", NUMBER),
    ("the output has\nto be 7", NUMBER),
    ("It answers the question.", QUESTION),
    ("It is relevant to the user's question", QUESTION),
    ("It is relevant to the user\u2019s query", QUESTION),
    ("It does not repeat the original question.", QUESTION),
    ("It repeats the previous answer.", MESSAGE),
    ("It does not contradict its earlier reply", MESSAGE),
    ("It refers to the last message", MESSAGE),
    ("It matches the expected answer.", EXPECTED),
    ("It matches the expected\noutput.", EXPECTED),
    ("It agrees with the ground truth", EXPECTED),
    ("close to ground-truth", EXPECTED),
    ("It has all facts of the reference.", EXPECTED),
    ("It is similar to the reference answer.", EXPECTED),
    ("It is the same as before.", COMPARED),
    ("The answer should be the same as in the manual", COMPARED),
    ("The Same As yesterday", COMPARED),
]
LEFT_IN_PEACE = [
    "should explain what's 'Prompt flow'",
    "should explain what's ChatGPT",
    "It is a consise statement.",
    "short",
    "5",
    "It contains a detailed explanation of ChatGPT.",
    "It contains a brief explanation of ChatGPT.",
    "It says that the user asked 1 question.",
    "It says how many questions the user asked.",
    "The result of 2 + 2 should be 4",
    "The number of steps should be 3",
    "The question count should be 1",
    "result should be 1 question",
    "result should be one sentence",
    "result should be 1st",
    "The answer should be 4.",
    "It is below 100 words.",
    "It ends with a question.",
    "It has no question mark.",
    "It puts the question mark in the right place.",
    'It begins with the question "Why?"',
    "It begins with the question 'Why?'",
    "It begins with the question \u201cWhy?\u201d",
    "It discusses the question of whether models understand.",
    "It leaves open the question how models learn.",
    "Its last sentence sums it up.",
    "It names the previous version.",
    "It names the reference guide.",
    "It names references.",
    'It explains "ground truth".',
    "It explains 'the expected answer' in one sentence.",
    "It says that the ground truth is a column of the data.",
    "It should explain to a beginner that an evaluation compares with the expected output",
    'It is the same as "Yes".',
    "It points out that the same as above is meant",
    "It says that a flow is not the same as a chain.",
    "A flow is not the same as a chain.",
    "It uses the same words as a child.",
]


def findings_of(lines: Iterable[dict[str, str]], *shown: str) -> list[str]:
    """Return the findings about statements alone, or where a line has what is shown too."""
    history = [{"role": "user", "content": "Hi"}]
    return lint((Line(1, "How many?", history, statements, "One.") for statements in lines), shown)


@pytest.mark.parametrize(("statement", "why"), POINTED_OUT)
def test_what_the_judge_is_shown_is_not_pointed_out(statement: str, why: str) -> None:
    mended = {NUMBER: {"question"}, QUESTION: {"question"}, MESSAGE: {"chat_history"}, EXPECTED: {"reference"}}
    mended |= {NOTHING: set(), COMPARED: {"chat_history", "reference"}}
    for shown in ("question", "chat_history", "reference"):
        assert bool(findings_of([{"good": statement}], shown)) == (shown not in mended[why])


def test_what_a_line_does_not_have_is_not_shown() -> None:
    statements = {"good": "It repeats the previous answer."}
    assert len(lint([Line(1, "Why?", [], statements)], ["question", "chat_history", "reference"])) == 1


@pytest.mark.parametrize(("statement", "why"), POINTED_OUT)
def test_what_cannot_be_judged_alone_is_pointed_out(statement: str, why: str) -> None:
    (finding,) = findings_of([{"good": statement}])
    assert finding.startswith(f"statement 'good', {statement!r}: ")
    assert why in finding
    assert "; " in finding


@pytest.mark.parametrize("statement", LEFT_IN_PEACE)
def test_what_can_be_judged_is_left_in_peace(statement: str) -> None:
    assert findings_of([{"good": statement}]) == []


def test_the_tutorial_has_one_such_statement_where_the_question_is_not_shown() -> None:
    assert lint(read_lines(PROJECT / "data.jsonl"), ["question"]) == []
    (finding,) = lint(read_lines(PROJECT / "data.jsonl"))
    assert finding == (
        "statement 'correctness', 'result should be 1': it wants a number and does not say of what; "
        'say what is counted, such as "It says that the user asked 1 question."'
    )


def test_our_own_labels_and_examples_have_none() -> None:
    labels = [json.loads(line) for line in (PROJECT / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    assert findings_of({"statement": label["statement"]} for label in labels) == []
    mended = [finding.split('"')[1] for finding in findings_of([{"a": "value = 1", "b": "It answers the question."}])]
    assert mended == ["It says that the user asked 1 question.", "It says what ChatGPT is."]
    assert findings_of({"mended": statement} for statement in mended) == []


def test_each_finding_is_told_once_in_order_of_appearance() -> None:
    line = {"b": "value = 1", "good": "It is short.", "a": "value = 1"}
    findings = findings_of([line, line, {"a": "value = 2"}, line])
    assert [finding.split(": ")[0] for finding in findings] == [
        "statement 'b', 'value = 1'",
        "statement 'a', 'value = 1'",
        "statement 'a', 'value = 2'",
    ]


def test_no_statements_are_no_findings() -> None:
    assert findings_of([{}, {}]) == []


@given(st.lists(st.dictionaries(st.text(), st.text(st.sampled_from("1 =\n'\"?") | st.characters()))))
def test_any_text_gives_short_findings_of_one_line(statements: list[dict[str, str]]) -> None:
    for finding in findings_of(statements):
        assert len(finding.splitlines()) == 1
        assert len(finding) < 300


@given(st.text(st.characters(codec="utf-8")))
def test_quoted_text_points_at_nothing(text: str) -> None:
    quoted = f'It has the words "x{text.replace(chr(34), "")}, the ground truth".'
    assert findings_of([{"good": quoted.replace("\u201c", "").replace("\u201d", "")}]) == []


LONG = [
    "say " * 20_000,
    "say that " * 20_000,
    "'" * 100_000,
    "result " * 20_000,
    " " * 100_000,
    "1" * 100_000,
    "the question " * 9_000,
]


@pytest.mark.parametrize("statement", LONG, ids=[text[:12].strip() or "blank" for text in LONG])
def test_a_long_statement_is_read_in_no_time(statement: str) -> None:
    began_s = time.thread_time()  # other programs may keep the machine busy
    findings_of([{"long": statement}])
    assert time.thread_time() - began_s < 0.5  # 0.1 s at most; what grows with the square takes minutes
