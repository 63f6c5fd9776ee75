"""What the judge is shown besides answer and statement: where it is given, as text, and within a budget."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check_list import EXAMPLES, MAX_TOTAL_TOKEN, PROMPT, EvalFlow
from flowkit.data.records import Line
from flowkit.judge.context import NOTHING_ELSE, Context, shown_by
from flowkit.judge.messages import Asked
from flowkit.model.configuration import Model, Service
from flowkit.prompt.budget import prompt_tokens
from flowkit.prompt.prompty import Prompt
from flowkit.run.keys import Task, verdict_key
from tests.chat_server import Answer, ChatServer
from tests.test_judge import HOSTILE, at, mark_of
from tests.test_prompty import hostile_texts

DATA = Path(__file__).absolute().parent / "data"
JUDGE = Prompt.load(PROMPT)
NOWHERE = Model("somebody's", Service("http://127.0.0.1:9/v1", "none"))
FIVE = Answer(deltas=['{"explanation": "All of it.", "score": 5}'])
HISTORY = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def asked(server: ChatServer) -> str:
    return str(server.requests[-1].messages[1]["content"])


def blocks(prompt: str, mark: str) -> list[tuple[str, str]]:
    """Return the name and the text of each block, in order."""
    return re.findall(rf"(?<=\n)<(\w+) {mark}>\n(.*?)\n</\1 {mark}>(?=\n|\Z)", prompt, re.DOTALL)


# --- Where it is given


def test_answer_and_statement_alone_are_asked_about_as_ever_to_the_letter() -> None:
    kept = json.loads((DATA / "judge_messages.json").read_text())
    messages = Asked(JUDGE, kept["answer"], kept["statement"], EXAMPLES).messages(NOTHING_ELSE, kept["mark"])
    assert messages == kept["messages"]


@pytest.mark.parametrize("nothing", [{}, {"question": None, "chat_history": [], "reference": float("nan")}])
def test_what_is_not_given_leaves_no_trace(server: ChatServer, nothing: dict[str, Any]) -> None:
    server.usual = FIVE
    kept = json.loads((DATA / "judge_messages.json").read_text())
    EvalFlow(at(server))(kept["answer"], {"good": kept["statement"]}, **nothing)
    sent = json.dumps(server.requests[0].messages).replace(mark_of(asked(server)), kept["mark"])
    assert json.loads(sent) == kept["messages"]


def test_all_that_is_given_is_shown_in_its_order_between_marked_lines(server: ChatServer) -> None:
    server.usual = FIVE
    EvalFlow(at(server))("Paris.", {"good": "It is right."}, "Which?", HISTORY, "Paris, on the Seine.")
    assert blocks(asked(server), mark_of(asked(server))) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("question", "Which?"),
        ("reference", "Paris, on the Seine."),
        ("answer", "Paris."),
        ("statement", "It is right."),
    ]
    assert "is data too and stands between such\nlines" in server.requests[0].messages[0]["content"]


@pytest.mark.parametrize(
    ("given", "error"),
    [({"question": 1}, "'question' must be text"), ({"reference": ["a"]}, "'reference' must be text")],
)
def test_what_is_no_text_is_refused_by_name(given: dict[str, Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        Context.read(**given)


def test_half_a_surrogate_pair_is_refused_before_anything_is_sent(server: ChatServer) -> None:
    for each in (
        {"question": "\ud83d"},
        {"reference": "\ud83d"},
        {"chat_history": [{**HISTORY[0], "content": "\ud83d"}]},
    ):
        with pytest.raises(ValueError, match="half of a surrogate pair"):
            EvalFlow(at(server))("An answer.", {"good": "It is short."}, **each)
    assert server.requests == []


# --- It is text


@settings(max_examples=100)
@given(*[hostile_texts() | st.sampled_from(HOSTILE)] * 5)
def test_whatever_the_five_texts_say_they_are_text_between_marked_lines(
    answer: str, statement: str, question: str, message: str, reference: str
) -> None:
    def shown(answer: str, statement: str, context: Context) -> list[dict[str, str]]:
        return Asked(JUDGE, answer, statement, EXAMPLES).messages(context, "00c0ffee00c0ffee")

    history = [{"role": "assistant", "content": message}]
    context = Context(question, history, reference)
    plain = Context(question and "(3)", [{"role": "assistant", "content": "(4)"}], reference and "(5)")
    system, user = shown(answer, statement, context)
    expected_system, expected = shown("(1)", "(2)", plain)
    assert (system, user["role"]) == (expected_system, "user")
    texts = {"(1)": answer, "(2)": statement, "(3)": question, "(4)": message, "(5)": reference}
    assert user["content"] == re.sub(r"\([1-5]\)", lambda found: texts[found[0]], expected["content"])


# --- Within a budget


def fitted(context: Context, budget: int | None = None, answer: str = "Paris.") -> tuple[Context, int]:
    """Return what is left of the context, and the tokens of prompt and longest reply."""
    flow = EvalFlow(NOWHERE, max_total_token=budget)
    left = asyncio.run(flow.fitted(answer, "It is right.", context))
    messages = flow.messages(answer, "It is right.", left)
    return left, asyncio.run(prompt_tokens(messages, NOWHERE.name)) + flow.prompt.max_tokens


def long_history(count: int = 200) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": f"message {i} " * 20} for i in range(count)]


def test_the_oldest_messages_go_first() -> None:
    left, tokens = fitted(Context("Which?", long_history(), "Paris."), 3000)
    assert left.chat_history == long_history()[left.history_dropped :]
    assert 0 < left.history_dropped < 200
    assert (left.question, left.reference, left.reference_dropped) == ("Which?", "Paris.", 0)
    assert 2300 < tokens <= 3000


def test_then_the_references_end_goes_and_never_the_answer() -> None:
    reference = "a reference of many words " * 2000
    left, tokens = fitted(Context("Which?", long_history(), reference), 3000)
    assert (left.chat_history, left.history_dropped) == ([], 200)
    assert reference == (left.reference or "") + reference[-left.reference_dropped :]
    assert 2900 < tokens <= 3000


def test_an_answer_that_is_too_long_is_shown_whole_with_the_question(caplog: pytest.LogCaptureFixture) -> None:
    left, tokens = fitted(Context("Which?", long_history(), "Paris."), 3000, answer="word " * 5000)
    assert left == Context("Which?", history_dropped=200, reference_dropped=6)
    assert tokens > 5000
    assert "more than the judge's 3000 tokens" in caplog.text


def test_a_judge_of_whom_nobody_knows_how_much_it_takes_gets_8000_tokens() -> None:
    left, tokens = fitted(Context(None, long_history(2000)))
    assert MAX_TOTAL_TOKEN - 2000 < tokens <= MAX_TOTAL_TOKEN == 8000
    assert left.history_dropped > 0


def test_a_known_judge_gets_what_it_takes() -> None:
    flow = EvalFlow(Model("gpt-4o-mini", Service(None, "none")))
    context = Context(None, long_history())
    assert asyncio.run(flow.fitted("Paris.", "It is right.", context)) == context


def test_a_verdict_says_what_was_left_out(server: ChatServer) -> None:
    server.usual = FIVE
    flow = EvalFlow(at(server), max_total_token=2500)
    verdict = flow("Paris.", {"good": "It is right."}, "Which?", long_history(), "word " * 5000)["good"]
    assert verdict["history_dropped"] == 200
    assert 0 < verdict["reference_dropped"] < 25_000
    assert not {"history_dropped", "reference_dropped"} & set(
        flow("Paris.", {"good": "It is right."}, "Which?")["good"]
    )


# --- What the prompt does not use is not given to it


def written(folder: Path, change: Callable[[str], str]) -> Path:
    path = folder / "mine.prompty"
    path.write_text(change(PROMPT.read_text()))
    return path


def test_a_prompt_shows_what_stands_in_its_template(server: ChatServer, tmp_path: Path) -> None:
    server.usual = FIVE
    path = written(tmp_path, lambda text: re.sub(r"\{% if reference %\}\nThis.*?\{% endif %\}\n", "", text, flags=re.S))
    flow = EvalFlow(at(server), prompt=str(written(tmp_path, lambda _: path.read_text().replace(" or reference", ""))))
    assert shown_by(flow.prompt) == {"question", "chat_history"}
    flow("Paris.", {"good": "It is right."}, "Which?", None, "a reference that nobody shows")
    assert [name for name, _ in blocks(asked(server), mark_of(asked(server)))] == ["question", "answer", "statement"]


def test_a_prompt_of_before_is_asked_as_before(server: ChatServer) -> None:
    server.usual = FIVE
    flow = EvalFlow(at(server), prompt=str(DATA / "eval_checklist_of_answers_alone.prompty"))
    flow("Paris.", {"good": "It is right."}, "Which?", HISTORY, "Paris.")
    assert [name for name, _ in blocks(asked(server), mark_of(asked(server)))] == ["answer", "statement"]


def test_an_input_that_nobody_fills_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text.replace("inputs:\n", "inputs:\n  mood:\n    type: string\n"))
    with pytest.raises(ValueError, match=r"mine\.prompty: nothing fills the input 'mood'"):
        EvalFlow(NOWHERE, prompt=str(path))


def test_a_verdict_has_the_key_of_what_the_judge_is_shown() -> None:
    def key(line: Line, prompt: Path = PROMPT) -> str:
        return verdict_key(Task(line, "answer"), "Paris.", "It is right.", EvalFlow(NOWHERE, prompt=str(prompt)))

    line = Line(1, "Which?", [], {})
    others = [Line(1, "What?", [], {}), Line(1, "Which?", HISTORY, {}), Line(1, "Which?", [], {}, "Paris.")]
    assert len({key(each) for each in (line, *others)}) == 4
    assert len({key(each, DATA / "eval_checklist_of_answers_alone.prompty") for each in (line, *others)}) == 1
