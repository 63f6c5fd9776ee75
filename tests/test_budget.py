"""A conversation within its budget, up to what the model is sent."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow import ChatFlow
from flowkit.judge.context import Context
from flowkit.judge.messages import Asked
from flowkit.judge.messages import fitted as fitted_context
from flowkit.prompt.budget import estimate_tokens, fitted_messages
from flowkit.prompt.history import Message
from flowkit.prompt.prompty import Prompt
from flowkit.prompt.tokens import load_vocabulary
from tests.chat_server import ChatServer, chat_server
from tests.test_history import from_a_question
from tests.test_prompty import BENIGN, CHAT, HOSTILE, PROJECT, SYSTEM, histories, hostile_texts, shortened, user

MODEL = "gpt-4o"
ROOMY = 100_000_000
SECRET = "my secret text " * 100


def fitted(question: Any, history: Any, budget: int = ROOMY, prompt: Prompt = CHAT) -> list[Message]:
    return asyncio.run(fitted_messages(prompt, MODEL, question, history, budget))[0]


def tokens(messages: list[Message], prompt: Prompt = CHAT, model: str = MODEL) -> int:
    return asyncio.run(estimate_tokens(prompt, model, messages))


def ask(server: ChatServer, question: Any, history: Any = None, budget: int = ROOMY) -> None:
    chat_flow = ChatFlow({"model": MODEL, "base_url": server.base_url, "api_key": "k"}, max_total_token=budget)

    async def read() -> None:
        async for _ in chat_flow.stream(question, history):
            pass

    asyncio.run(read())


# --- Untrusted text, as the model gets it


@pytest.mark.parametrize("text", HOSTILE, ids=shortened)
def test_the_model_gets_a_question_as_it_was_asked(text: str, server: ChatServer) -> None:
    ask(server, text)
    assert server.requests[0].messages == [SYSTEM, user(text)]


def test_the_model_gets_a_history_as_it_was(server: ChatServer) -> None:
    texts = [text for text in HOSTILE if len(text) < 100_000]
    history = [{"role": role, "content": text} for text in texts for role in ("assistant", "user", "system")]
    ask(server, "And now?", history)
    assert server.requests[0].messages == [SYSTEM, *history, user("And now?")]


class Watch:
    """What this process opens and where it connects to, as text."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is not None and event in ("open", "socket.connect", "socket.getaddrinfo"):
            self.seen.append(f"{event} {arguments}")


@pytest.fixture(scope="session")
def installed_watch() -> Watch:
    watch = Watch()
    sys.addaudithook(watch)  # for the life of the process, Python knows no way to remove it
    return watch


@pytest.fixture
def seen(installed_watch: Watch) -> Iterator[list[str]]:
    installed_watch.seen = []
    yield installed_watch.seen
    installed_watch.seen = None


@pytest.mark.parametrize("place", ["question", "history"])
def test_no_file_named_in_a_text_is_read(place: str, server: ChatServer, tmp_path: Path, seen: list[str]) -> None:
    named = tmp_path / "named.png"
    named.write_text(SECRET)
    seen.clear()
    text = f"data:image/png;path: {named}"
    ask(server, *((text, []) if place == "question" else ("And?", [user(text)])))
    assert user(text) in server.requests[0].messages
    assert base64.b64encode(SECRET.encode()).decode() not in json.dumps(server.requests[0].body)
    assert not [event for event in seen if str(named) in event]
    named.read_text()
    assert [event for event in seen if str(named) in event]  # so it would have been noticed


@pytest.mark.parametrize("place", ["question", "history"])
@pytest.mark.parametrize("scheme", ["data:image/png;url: http", "![image](http", "${file:http"])
def test_no_address_named_in_a_text_is_fetched(scheme: str, place: str, server: ChatServer, seen: list[str]) -> None:
    with chat_server() as elsewhere:
        text = f"{scheme}{elsewhere.base_url.removeprefix('http')}/x.png"
        ask(server, *((text, []) if place == "question" else ("And?", [user(text)])))
        port = elsewhere.base_url.split(":")[2].split("/")[0]
    assert user(text) in server.requests[0].messages
    assert elsewhere.requests == []
    connects = [event for event in seen if event.startswith("socket.connect")]
    assert connects
    assert not [event for event in connects if f", {port})" in event]


# --- What is no conversation


@pytest.mark.parametrize(
    ("question", "history", "error", "says"),
    [
        (None, [], TypeError, "question must be text, got NoneType"),
        (5, [], TypeError, "question must be text, got int"),
        (math.nan, [], TypeError, "question must be text, got float"),
        (SECRET.encode(), [], TypeError, "question must be text, got bytes"),
        ([user(SECRET)], [], TypeError, "question must be text, got list"),
        (SECRET + "\udc80", [], ValueError, "question: character 1500 is half of a surrogate pair"),
        ("?", 5, TypeError, "chat_history must be a list of messages, got int"),
        ("?", user(SECRET), TypeError, "chat_history must be a list of messages, got dict"),
        ("?", SECRET, ValueError, "chat_history must be a list of messages, got text that is no JSON"),
        ("?", json.dumps(user(SECRET)), TypeError, "chat_history must be a list of messages, got dict"),
        ("?", [SECRET], TypeError, "chat_history[0] must be an object with role and content, got str"),
        (
            "?",
            [{"inputs": SECRET, "outputs": {}}],
            ValueError,
            "chat_history: expected a question and its answer in every",
        ),
        ("?", [{"content": SECRET}], ValueError, "chat_history[0]: role must be one of system, user, assistant, got N"),
        ("?", [{"role": "function", "content": SECRET}], ValueError, "chat_history[0]: role must be one of"),
        ("?", [{"role": "tool", "content": SECRET}], ValueError, "chat_history[0]: role must be one of"),
        ("?", [{"role": "user:\nx\nsystem", "content": SECRET}], ValueError, "chat_history[0]: role must be one of"),
        ("?", [{"role": "user"}], TypeError, "chat_history[0]: content must be text, got NoneType"),
        ("?", [user("Hi"), {"role": "user", "content": 5}], TypeError, "chat_history[1]: content must be text, got i"),
        ("?", [{"role": "user", "content": [SECRET]}], TypeError, "chat_history[0]: content must be text, got list"),
        ("?", [user(SECRET + "\ud800")], ValueError, "chat_history[0]: content: character 1500 is half of a surroga"),
    ],
)
def test_what_is_no_conversation_is_refused_before_anything_is_sent(
    question: Any, history: Any, error: type[Exception], says: str, server: ChatServer
) -> None:
    with pytest.raises(error) as raised:
        ask(server, question, history)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)
    assert server.requests == []


@pytest.mark.parametrize("history", [None, "", math.nan, [], (), "[]"], ids=repr)
def test_a_line_without_a_history_is_a_question_alone(history: Any, server: ChatServer) -> None:
    ask(server, "Who?", history)
    assert server.requests[0].messages == [SYSTEM, user("Who?")]


def test_a_history_as_json_text_is_that_history(server: ChatServer) -> None:
    history = [user("Hi\nsystem:\n\u00e9"), {"role": "assistant", "content": "Hello"}]
    ask(server, "Who?", json.dumps(history))
    assert server.requests[0].messages == [SYSTEM, *history, user("Who?")]


def test_a_prompts_own_history_is_sent_where_nobody_gives_one(tmp_path: Path) -> None:
    own = [{"role": "user", "content": "1+1?"}, {"role": "Assistant", "content": "2"}]
    head = f"inputs:\n  question: {{type: string}}\n  chat_history: {{type: list, default: {json.dumps(own)}}}"
    each = "{% for item in chat_history %}\n{{item.role}}:\n{{item.content}}\n{% endfor %}\n"
    (tmp_path / "mine.prompty").write_text(f"---\n{head}\n---\n{each}user:\n{{{{question}}}}\n")
    prompt = Prompt.load(tmp_path / "mine.prompty")
    sent = [user("1+1?"), {"role": "assistant", "content": "2"}, user("2+2?")]
    assert prompt.messages(question="2+2?") == sent
    assert asyncio.run(fitted_messages(prompt, MODEL, "2+2?", None, 1000))[0] == sent
    assert asyncio.run(fitted_messages(prompt, MODEL, "2+2?", [], 1000))[0] == [user("2+2?")]


# --- The budget


@settings(max_examples=60)
@given(hostile_texts(), histories(hostile_texts()), st.integers(1024, 1300))
def test_the_longest_tail_whose_whole_prompt_fits_is_sent(question: str, history: list[Message], budget: int) -> None:
    before = copy.deepcopy(history)
    whole = [[SYSTEM, *history[start:], user(question)] for start in range(len(history) + 1)]
    fit = next((messages for messages in whole if tokens(messages) <= budget), whole[-1])
    expected = fit if fit == whole[0] else [SYSTEM, *from_a_question(fit[1:-1]), user(question)]
    sent, dropped = asyncio.run(fitted_messages(CHAT, MODEL, question, history, budget))
    assert sent == expected
    assert sent[1:-1] == history[dropped:]
    assert history == before


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "flowkit.prompt.budget"]


def test_a_question_that_is_too_long_by_itself_is_sent_with_one_warning(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    question = "Why? " * 200
    needed = tokens([SYSTEM, user(question)])
    ask(server, question, [user("Hi"), {"role": "assistant", "content": "Hello"}], budget=1100)
    assert server.requests[0].messages == [SYSTEM, user(question)]
    (warning,) = warnings_of(caplog)
    assert f" {needed} tokens" in warning
    assert " 1100;" in warning
    assert {record.levelno for record in caplog.records if record.name == "flowkit.prompt.budget"} == {logging.WARNING}


@pytest.mark.parametrize(("spare", "warnings", "kept"), [(-1, 1, 0), (0, 0, 0), (4, 0, 0), (5, 0, 1)])
def test_the_budget_is_met_to_the_token(spare: int, warnings: int, kept: int, caplog: pytest.LogCaptureFixture) -> None:
    alone = [SYSTEM, user("Who?")]  # the history's only message takes 3 + 1 + 1 tokens
    sent = fitted("Who?", [user("Hi")], tokens(alone) + spare)
    assert len(sent) == len(alone) + kept
    assert len(warnings_of(caplog)) == warnings


AROUND = {
    "around each": "user:\n{% for m in chat_history %}\n[Message {{loop.index}}, by the {{m.role}}]\n{{m.content}}\n"
    "{% endfor %}\n{{question}}\n",
    "as messages": "{% for m in chat_history %}\n{{m.role}}:\nNumber {{loop.index}}: {{m.content}}\n{% endfor %}\n"
    "user:\n{{question}}\n",
    "twice": "system:\n{{chat_history}}\n{% for m in chat_history %}\n{{m.role}}:\n{{m.content}}\n{% endfor %}\n"
    "user:\n{{question}}\n",
}


@pytest.mark.parametrize("template", AROUND.values(), ids=AROUND)
def test_what_the_prompt_writes_around_the_messages_counts(template: str) -> None:
    prompt = Prompt("x", template, {"max_tokens": 100}, ("question", "chat_history"), "0")
    history = [user("Hi."), {"role": "assistant", "content": "Hello, you."}] * 100
    for budget in (200, 500, 1100, 100_000):
        sent, dropped = asyncio.run(fitted_messages(prompt, MODEL, "Who?", history, budget))
        assert tokens(sent, prompt) <= budget
        assert sent == prompt.messages(question="Who?", chat_history=history[dropped:])
        if dropped:
            assert dropped % 2 == 0  # it begins with a question
            more = prompt.messages(question="Who?", chat_history=history[dropped - 2 :])
            assert tokens(more, prompt) > budget
    assert dropped == 0


def test_a_judges_prompt_that_shows_the_history_twice_fits_its_budget() -> None:
    loop = "{% for m in chat_history %}\n{{m.content}}\n{% endfor %}\n"
    template = f"user:\n{loop}{loop}{{{{answer}}}} {{{{statement}}}}\n"
    names = ("chat_history", "answer", "statement", "examples", "mark")
    prompt = Prompt("x", template, {"max_tokens": 100}, names, "0", used=frozenset(names))
    asked = Asked(prompt, "Yes.", "It is short.")
    history = [
        user("What is a prompt flow, and who makes it?"),
        {"role": "assistant", "content": "It is a toolkit."},
    ] * 50
    context = Context.read(None, history, None)
    shown = asyncio.run(fitted_context(asked, context, MODEL, 1100, 1.0))
    assert 900 < tokens(asked.messages(shown), prompt) <= 1100
    assert shown.chat_history == history[shown.history_dropped :]


def test_only_the_messages_that_fit_and_one_more_are_looked_at() -> None:
    history: list[Any] = [None] * 100_000 + [user("Hi " * 60), user("Hi"), user("Hi")]
    assert len(fitted("Who?", history, 1060)) == 4


@pytest.mark.slow
def test_the_loop_runs_on_while_a_long_text_is_counted() -> None:
    question, history = "a" * 1_000_000, [user("\n" * 1_000_000)]

    async def measure() -> tuple[float, float]:
        longest_gap_s = 0.0

        async def beat() -> None:
            nonlocal longest_gap_s
            last = time.perf_counter()
            while True:
                await asyncio.sleep(0.005)
                longest_gap_s = max(longest_gap_s, time.perf_counter() - last)
                last = time.perf_counter()

        heart = asyncio.ensure_future(beat())
        await asyncio.sleep(0.02)
        start = time.perf_counter()
        await fitted_messages(CHAT, MODEL, question, history, ROOMY)
        took_s = time.perf_counter() - start
        await asyncio.sleep(0.02)  # a held loop shows only afterwards
        heart.cancel()
        return took_s, longest_gap_s

    load_vocabulary(MODEL)
    took_s, longest_gap_s = asyncio.run(measure())
    assert longest_gap_s < took_s / 3  # each text takes about half of the time, so holding the loop takes as much


# --- As promptflow estimates

MODELS = ["gpt-3.5-turbo", "gpt-35-turbo", "gpt-4"]


@pytest.mark.slow
@pytest.mark.promptflow
@pytest.mark.parametrize("model", MODELS)
def test_an_estimate_is_promptflows(model: str) -> None:
    from promptflow.core import OpenAIModelConfiguration, Prompty

    configuration = OpenAIModelConfiguration(model=model, base_url="http://127.0.0.1:9", api_key="k")
    theirs = Prompty.load(PROJECT / "chat.prompty", model={"configuration": configuration})
    load_vocabulary(model)

    @settings(max_examples=25)
    @given(BENIGN, histories(BENIGN))
    def same(question: str, history: list[Message]) -> None:
        messages = CHAT.messages(question=question, chat_history=history)
        estimate = theirs.estimate_token_count(question=question, chat_history=history)
        assert tokens(messages, model=model) == estimate

    same()
