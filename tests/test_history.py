"""Histories: what is one, what is none, and which end of it fits in a budget."""

from __future__ import annotations

import asyncio
import copy
import json
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

from flowkit.base.text import check_text, shown
from flowkit.prompt.history import Message, checked, keep_newest, read_history

SECRET = "my secret text " * 100
LETTERS = {"s": "system", "u": "user", "a": "assistant"}


class Role(str, Enum):
    USER = "user"


def turns(letters: str) -> list[Message]:
    """Return a message per letter, its content its position."""
    return [{"role": LETTERS[letter], "content": str(position)} for position, letter in enumerate(letters)]


def newest(history: list[Any], costs: list[int], budget: int) -> tuple[list[Message], int]:
    """Return what is kept and how many messages were counted; a message's content is the place of its cost."""
    counted = 0

    async def cost(message: Message) -> int:
        nonlocal counted
        counted += 1
        return costs[int(message["content"])]

    return asyncio.run(keep_newest(history, cost, budget)), counted


def longest_fitting(history: list[Message], costs: list[int], budget: int) -> list[Message]:
    """Return the longest tail within the budget: all of them are tried."""
    for start in range(len(history)):
        if sum(costs[start:]) <= budget:
            return history[start:]
    return []


def from_a_question(tail: list[Message]) -> list[Message]:
    """Drop replies, and all before them, until none comes before the first question."""
    roles = [message["role"] for message in tail]
    while "assistant" in roles[: roles.index("user") if "user" in roles else None]:
        dropped = roles.index("assistant") + 1
        tail, roles = tail[dropped:], roles[dropped:]
    return tail


LONG = st.text("sua", max_size=14).map(turns)
COSTS = st.lists(st.integers(0, 20), min_size=14, max_size=14)


@settings(max_examples=200)
@given(LONG, COSTS, st.integers(-5, 150))
def test_the_longest_tail_within_the_budget_is_kept(history: list[Message], costs: list[int], budget: int) -> None:
    costs = costs[: len(history)]
    before = copy.deepcopy(history)
    fitting = longest_fitting(history, costs, budget)
    expected = fitting if len(fitting) == len(history) else from_a_question(fitting)

    kept, counted = newest(history, costs, budget)

    assert kept == expected
    assert counted <= len(fitting) + 1
    assert history == before


@pytest.mark.parametrize(
    ("letters", "fit", "kept"),
    [
        ("uaua", 4, "uaua"),
        ("uaua", 3, "ua"),
        ("uaua", 2, "ua"),
        ("uaua", 1, ""),
        ("uaua", 0, ""),
        ("aua", 3, "aua"),  # a greeting is no orphan while all fits
        ("uuua", 3, "uua"),
        ("uasua", 4, "sua"),
        ("usaua", 4, "ua"),
        ("ussua", 3, "sua"),
        ("uaaau", 4, "u"),
        ("uas", 2, "s"),
        ("uss", 2, "ss"),
        ("uasau", 4, "u"),
        ("", 0, ""),
    ],
)
def test_a_tail_begins_with_no_reply_whose_question_was_dropped(letters: str, fit: int, kept: str) -> None:
    history = turns(letters)
    assert newest(history, [1] * len(history), fit)[0] == history[len(history) - len(kept) :]


def test_a_long_run_of_replies_is_dropped_as_a_short_one_is() -> None:
    history = turns("u" + "a" * 20_000)
    assert newest(history, [1] * len(history), 20_000)[0] == []


def test_a_hundred_thousand_messages_are_not_all_counted() -> None:
    history = turns("ua" * 50_000)
    kept, counted = newest(history, [10] * len(history), 60)
    assert kept == history[-6:]
    assert counted == 7


def test_nothing_is_kept_of_a_budget_already_overdrawn() -> None:
    assert newest(turns("ua"), [0, 0], -1)[0] == []


def test_only_role_and_content_are_kept() -> None:
    deep: list[Any] = []
    deep.append(deep)
    history = [{"role": "user", "content": "0", "name": "x", "tool_calls": deep}, {"content": "1", "role": Role.USER}]
    kept, _ = newest(history, [1, 1], 9)
    assert repr(kept) == "[{'role': 'user', 'content': '0'}, {'role': 'user', 'content': '1'}]"


def test_a_message_too_old_to_be_sent_is_not_looked_at() -> None:
    history = [None, *turns("ua")]
    assert newest(history, [1, 9], 5)[0] == []  # the question, not None, is the one that no longer fits


def test_a_message_that_would_be_sent_is_looked_at_before_it_is_counted() -> None:
    with pytest.raises(TypeError, match=r"^chat_history\[1\] must be an object"):
        newest([*turns("u"), None, *turns("ua")], [1, 1], 5)


# --- One message


@pytest.mark.parametrize(
    ("message", "error", "says"),
    [
        ("hello", TypeError, "chat_history[3] must be an object with role and content, got str"),
        (None, TypeError, "chat_history[3] must be an object with role and content, got NoneType"),
        (["user", SECRET], TypeError, "chat_history[3] must be an object with role and content, got list"),
        ({}, ValueError, "chat_history[3]: role must be one of system, user, assistant, got None"),
        ({"inputs": {}, "outputs": {}}, ValueError, "chat_history[3]: role must be one of"),
        ({"role": "tool", "content": SECRET}, ValueError, "assistant, got 'tool'"),
        ({"role": "function", "content": SECRET}, ValueError, "assistant, got 'function'"),
        ({"role": "us er", "content": SECRET}, ValueError, "assistant, got 'us er'"),
        ({"role": "user:\nx\nsystem", "content": SECRET}, ValueError, "assistant, got 'user:\\nx\\nsystem'"),
        ({"role": "", "content": SECRET}, ValueError, "assistant, got ''"),
        ({"role": 5, "content": SECRET}, ValueError, "assistant, got 5"),
        ({"role": ["user"], "content": SECRET}, ValueError, "assistant, got ['user']"),
        ({"role": "x" * 9999, "content": SECRET}, ValueError, "assistant, got 'xxx"),
        ({"role": "user"}, TypeError, "chat_history[3]: content must be text, got NoneType"),
        ({"role": "user", "content": None}, TypeError, "chat_history[3]: content must be text, got NoneType"),
        ({"role": "user", "content": 5}, TypeError, "chat_history[3]: content must be text, got int"),
        ({"role": "user", "content": SECRET.encode()}, TypeError, "chat_history[3]: content must be text, got bytes"),
        ({"role": "user", "content": [{"text": SECRET}]}, TypeError, "chat_history[3]: content must be text, got list"),
        (
            {"role": "user", "content": [{"type": "text", "text": SECRET}, {"type": "image_url", "image_url": SECRET}]},
            TypeError,
            "chat_history[3]: content must be text, got list; its part 1 is 'image_url', not text: leave it out",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, TypeError, "content[0]: text must be text, got NoneType"),
        ({"role": "user", "content": SECRET + "\ud800"}, ValueError, "chat_history[3]: content: character 1500 is"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_message_is_refused_and_not_quoted(message: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as raised:
        checked(message, 3)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize("surrogate", [0xD800, 0xDBFF, 0xDC00, 0xDFFF], ids=hex)
@given(st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=20)
def test_half_a_surrogate_pair_is_refused_with_its_place(surrogate: int, before: str, after: str) -> None:
    with pytest.raises(ValueError, match=rf"^question: character {len(before)} is half of a surrogate pair"):
        check_text(before + chr(surrogate) + after, "question")


@given(st.text(max_size=40))
@settings(max_examples=50)
def test_any_other_text_is_text(text: str) -> None:
    check_text(text, "question")
    assert checked({"role": "user", "content": text}, 0) == {"role": "user", "content": text}


@pytest.mark.parametrize(("role", "read"), [("User", "user"), ("ASSISTANT", "assistant"), (" system\n", "system")])
def test_a_role_may_be_in_capitals_and_between_blanks(role: str, read: str) -> None:
    assert checked({"role": role, "content": "x"}, 0) == {"role": read, "content": "x"}


def test_developer_is_system_and_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Be "}, {"type": "input_text", "text": "brief."}]
    assert checked({"role": "developer", "content": parts}, 0) == {"role": "system", "content": "Be brief."}


def test_a_message_of_the_openai_library_is_one() -> None:
    reply = ChatCompletionMessage(role="assistant", content="Hello")
    assert checked(reply, 0) == {"role": "assistant", "content": "Hello"}


# --- The history as it comes


class Array:
    """Behaves as an array or a number of numpy does."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous")

    def tolist(self) -> Any:
        return self.value


class NAType:
    """Behaves as the NA of pandas does."""

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


HISTORY = [{"role": "user", "content": "Hi \u00e9\nsystem:\n"}]


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (None, []),
        ("", []),
        (float("nan"), []),
        (" \n", []),
        ("null", []),
        ("NaN", []),
        ("nan", []),
        (" None ", []),
        (NAType(), []),
        (Array([]), []),
        (Array(float("nan")), []),
        (Array(HISTORY), HISTORY),
        ([], []),
        ((), []),
        ("[]", []),
        (HISTORY, HISTORY),
        (tuple(HISTORY), HISTORY),
        (json.dumps(HISTORY), HISTORY),
        (json.dumps(HISTORY, indent=2, ensure_ascii=False), HISTORY),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_history_is_a_list_or_nothing_or_either_as_json_text(came: Any, read: list[Any]) -> None:
    assert read_history(came) == read


@pytest.mark.parametrize(
    ("came", "error", "says"),
    [
        (5, TypeError, "got int"),
        (0, TypeError, "got int"),
        (False, TypeError, "got bool"),
        (1.5, TypeError, "got float"),
        (b"[]", TypeError, "got bytes"),
        (Array(5), TypeError, "got int"),
        ({"role": "user", "content": SECRET}, TypeError, "got dict"),
        (json.dumps({"role": "user", "content": SECRET}), TypeError, "got dict"),
        (json.dumps(SECRET), TypeError, "got str"),
        ("5", TypeError, "got int"),
        (SECRET, ValueError, "got text that is no JSON (Expecting value: line 1 column 1 (char 0))"),
        ("[{'role': 'user'}]", ValueError, "(it looks like Python's notation; write it with json.dumps)"),
        (json.dumps([SECRET])[:-1], ValueError, "got text that is no JSON ("),
        ("[" * 200_000, ValueError, "got text that is no JSON (it is nested more than 100 deep at column 101)"),
        ('["[[", ' + "[" * 100 + "]" * 101, ValueError, "it is nested more than 100 deep at column 107)"),
        ("[" + "9" * 5000 + "]", ValueError, "(the number at column 2 has 5000 digits; write it as text)"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_any_other_history_is_refused_and_not_quoted(came: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=r"^chat_history must be a list of messages, got ") as raised:
        read_history(came)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "None"), ("user", "'user'"), ("x" * 38, f"'{'x' * 38}'"), ("x" * 99, f"'{'x' * 39}..."), ("\n", r"'\n'")],
)
def test_a_value_is_shown_as_python_writes_it_but_not_at_length(value: Any, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        ({"0": "H", "1": "o"}, "Ho"),  # a streamed answer, spread over an output for each character
        ({"0": "\ud83d", "1": "\ude00"}, "\U0001f600"),  # characters of JavaScript are halves of a surrogate pair
        ({str(i): letter for i, letter in enumerate("twelve signs")}, "twelve signs"),
        ({"0": "H", "1": "o", "context": "Ten documents."}, "Ho"),
        ({}, ""),
        ({"output": "Nothing."}, "Nothing."),
        ({"context": "Ten documents.", "answer": "Yes."}, "Yes."),
        ({"context": "Ten documents.", "output": "Yes.", "other": "x"}, "Yes."),
        ({"said": "Yes.", "documents": [1, 2], "cost": 0.5}, "Yes."),
        ({"0": "Yes."}, "Yes."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_the_turns_of_promptflows_chat_page_are_messages_too(outputs: dict[str, Any], answer: str) -> None:
    turns = [
        {"inputs": {"question": "Hi"}, "outputs": outputs},
        {"inputs": {"chat_input": "And?", "chat_history": []}, "outputs": {"answer": "Bye."}},
    ]
    assert [message["content"] for message in read_history(turns)] == ["Hi", answer, "And?", "Bye."]
    assert [message["role"] for message in read_history(turns)] == ["user", "assistant"] * 2
    assert read_history(json.dumps(turns)) == read_history(turns)


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (
            {"inputs": {"question": "Hi"}, "outputs": {"reply": SECRET, "context": SECRET}},
            "chat_history[1]: outputs: expected 'answer' or 'output', or one text; got 'reply', 'context'",
        ),
        ({"inputs": {"question": "Hi"}, "outputs": {"cost": 5}}, "or one text; got 'cost'"),
        (
            {"inputs": {"a": SECRET, "b": SECRET}, "outputs": {}},
            "chat_history[1]: inputs: expected 'question', or one text; got 'a', 'b'",
        ),
        ({"inputs": {}, "outputs": {}}, "chat_history[1]: inputs: expected 'question', or one text; got nothing"),
        ({"inputs": {}, "outputs": SECRET}, "chat_history: expected a question and its answer in every turn"),
        (SECRET, "chat_history: expected a question and its answer in every turn"),
    ],
)
def test_a_turn_that_does_not_say_which_text_is_the_answer_is_refused(turn: Any, says: str) -> None:
    last = {"inputs": {"question": "Hi"}, "outputs": {"answer": "Ho"}}
    with pytest.raises(ValueError, match=r"^chat_history") as raised:
        read_history([last, turn, last])
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
