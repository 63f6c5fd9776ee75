"""A prompt's own inputs: in Python, in batches, and as promptflow sees them; and what a front matter may not say."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import batch
from flow import PROMPT, ChatFlow
from flowkit.bridge.entry import takes_inputs_of
from flowkit.data.inputs import read_inputs
from flowkit.data.records import Line
from flowkit.prompt.prompty import Prompt
from flowkit.run.keys import tasks_of
from tests import documents
from tests.chat_server import ChatServer
from tests.desk import STATEMENTS, Desk, healthy
from tests.test_commands import pf
from tests.test_prompty import hostile_texts

PROJECT = Path(__file__).absolute().parent.parent
KEY = "sk-never-shown-1234"
RUN = ["run", "create", "--flow", ".", "--data", "own.jsonl"]


def with_tone(folder: Path, more: str = "", name: str = "mine.prompty") -> Path:
    """Write chat.prompty with an input `tone`. more: of its declaration."""
    path, text = folder / name, PROMPT.read_text()
    text = text.replace("inputs:\n", f"inputs:\n  tone:\n    type: string\n{more}", 1)
    path.write_text(text.replace("helpful assistant.", "helpful assistant. Be {{tone}}."))
    return path


def flow_at(server: ChatServer, prompt: Path) -> ChatFlow:
    return ChatFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": KEY}, prompt=str(prompt))


def told(server: ChatServer) -> list[str]:
    return [seen.messages[0]["content"] for seen in server.requests if seen.body.get("stream")]


async def read(flow: Any, *values: Any, **inputs: Any) -> str:
    return "".join([piece async for piece in flow(*values, **inputs)])


# --- In Python


def test_an_input_is_given_by_its_name_and_its_default_stands_in_for_it(server: ChatServer, tmp_path: Path) -> None:
    flow = flow_at(server, with_tone(tmp_path, "    default: plain\n"))
    for inputs in ({"tone": "dry"}, {}):
        assert asyncio.run(read(flow, "What?", **inputs)) == "Hello there."
        assert asyncio.run(read(flow.stream, "What?", **inputs)) == "Hello there."
    expected = [f"You are a helpful assistant. Be {tone}." for tone in ("dry", "dry", "plain", "plain")]
    assert told(server) == expected


@pytest.mark.parametrize("inputs", [{}, {"tone": "dry", "mood": "good"}])
def test_a_missing_or_unknown_input_is_refused_before_anything_is_sent(
    server: ChatServer, tmp_path: Path, inputs: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"Stream Chat: expected the inputs \['chat_history', 'question', 'tone'\]"):
        asyncio.run(read(flow_at(server, with_tone(tmp_path)), "What?", **inputs))
    assert server.requests == []


@settings(max_examples=50)
@given(hostile_texts())
def test_an_input_is_text_whatever_it_says(tone: str) -> None:
    template = "system:\nYour tone is:\n{{tone}}\n.\nuser:\n{{question}}\n"
    prompt = Prompt("mine", template, {}, ("question", "tone"), "0")
    system, user = prompt.messages(question="What?", tone=tone)
    assert system == {"role": "system", "content": f"Your tone is:\n{tone}\n."}
    assert user == {"role": "user", "content": "What?"}


# --- In batches


@pytest.fixture
def at_server(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChatServer:
    """Lead the program to the server, and have it write into a new folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.usual = healthy
    return server


def lines(folder: Path, *rows: dict[str, Any]) -> list[str]:
    (folder / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--data", "lines.jsonl", "--chat-prompt", "mine.prompty", "--quiet"]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "details.jsonl").read_text().splitlines()]


def test_a_column_fills_an_input_and_another_value_asks_again(at_server: ChatServer, tmp_path: Path) -> None:
    with_tone(tmp_path)
    dry = {"question": "What?", "tone": "dry", "statements": STATEMENTS}
    assert batch.main(lines(tmp_path, dry, {**dry, "tone": "kind"})) == 0
    assert sorted(told(at_server)) == [f"You are a helpful assistant. Be {tone}." for tone in ("dry", "kind")]
    assert [row["inputs"] for row in rows_of(tmp_path)] == [{"tone": "dry"}, {"tone": "kind"}]
    at_server.requests.clear()
    assert batch.main([*lines(tmp_path, {**dry, "tone": "warm"}, dry), "--resume", "out"]) == 0
    assert told(at_server) == ["You are a helpful assistant. Be warm."]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["run"]["prompts"].keys() == {
        "mine.prompty",
        "eval_checklist.prompty",
    }


def test_another_reference_asks_the_judge_again_and_statements_about_it_need_one(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_tone(tmp_path)
    row = {"question": "What?", "tone": "dry", "statements": {"agrees": "It agrees with the reference."}}
    assert batch.main(lines(tmp_path, {**row, "reference": "So."})) == 0
    assert "statement" not in capsys.readouterr().err
    assert rows_of(tmp_path)[0]["reference"] == "So."
    at_server.requests.clear()
    assert batch.main([*lines(tmp_path, {**row, "reference": "Not so."}), "--resume", "out"]) == 0
    assert ["Not so." in str(seen.messages) for seen in at_server.requests] == [True]
    assert batch.main([*lines(tmp_path, row), "--resume", "out"]) == 0
    assert "speaks of what was expected, which the judge does not see" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({}, "'tone' is missing, an input of mine.prompty without a default; the line has 'question'"),
        ({"tone": " "}, "'tone' is missing"),
        ({"tone": None}, "'tone' is missing"),
        ({"tone": 5}, "'tone' must be of type string, as the prompt says, got 5"),
        ({"tone": "\ud83d"}, "half of a surrogate pair"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--estimate"]], ids=["run", "estimate"])
def test_a_line_without_an_input_is_bad_input_with_its_number(
    at_server: ChatServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    row: dict[str, Any],
    error: str,
    more: Any,
) -> None:
    with_tone(tmp_path)
    assert batch.main([*lines(tmp_path, {"question": "A?", "tone": "dry"}, {"question": "B?", **row}), *more]) == 2
    said = capsys.readouterr().err
    assert said.startswith("batch.py: lines.jsonl line 2: ")
    assert error in said
    assert at_server.requests == []


def test_a_default_may_be_left_to_the_prompt_and_costs_no_key(tmp_path: Path) -> None:
    prompt = Prompt.load(with_tone(tmp_path, "    default: plain\n"))
    assert [read_inputs(row, prompt) for row in ({}, {"tone": ""}, {"tone": "dry"})] == [{}, {}, {"tone": "dry"}]
    flow = ChatFlow({"model": "m", "base_url": "http://127.0.0.1:9/v1"})
    plain, dry = (tasks_of([Line(1, "What?", [], {}, None, inputs)], flow)[0].key for inputs in ({}, {"tone": "dry"}))
    assert plain != dry


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("int", "3", 3),
        ("int", "3.0", 3),
        ("double", "0.5", 0.5),
        ("bool", "True", True),
        ("list", '["a"]', ["a"]),
        ("object", '{"a": 1}', {"a": 1}),
        ("string", "3", "3"),
    ],
)
def test_a_cell_of_a_table_is_read_as_the_prompt_declares_it(kind: str, cell: str, value: Any, tmp_path: Path) -> None:
    path = with_tone(tmp_path)
    path.write_text(path.read_text().replace("tone:\n    type: string", f"tone:\n    type: {kind}"))
    assert read_inputs({"tone": cell}, Prompt.load(path)) == {"tone": value}
    if kind != "string":
        with pytest.raises(TypeError, match=f"'tone' must be of type {kind}"):
            read_inputs({"tone": "x"}, Prompt.load(path))


@pytest.mark.parametrize(("kind", "is_text"), [("double", False), ("int", False), ("string", True)])
def test_nan_is_a_gap_where_a_number_is_expected(kind: str, is_text: bool, tmp_path: Path) -> None:
    path = with_tone(tmp_path, "    default: 7\n")
    path.write_text(path.read_text().replace("tone:\n    type: string", f"tone:\n    type: {kind}"))
    assert read_inputs({"tone": "NaN"}, Prompt.load(path)) == ({"tone": "NaN"} if is_text else {})


def test_a_prompt_without_a_history_refuses_a_line_that_has_one(tmp_path: Path) -> None:
    (tmp_path / "mine.prompty").write_text("---\ninputs:\n  question:\n    type: string\n---\nuser:\n{{question}}\n")
    prompt = Prompt.load(tmp_path / "mine.prompty")
    assert read_inputs({"question": "What?", "chat_history": "[]"}, prompt) == {}
    with pytest.raises(ValueError, match=r"'chat_history' is no input of mine\.prompty"):
        read_inputs({"question": "What?", "chat_history": [{"role": "user", "content": "Hi"}]}, prompt)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "mine.prompty"),
        ("no front matter", "expected a front matter"),
        ("---\na: [\n---\nuser:\n", "the front matter is no YAML"),
        ("---\nname: x\n---\nuser:\n{% if %}\n", "mine.prompty line 5: Expected an expression"),
    ],
)
@pytest.mark.parametrize("flag", ["--chat-prompt", "--judge-prompt"])
def test_a_prompt_that_cannot_be_used_is_bad_input(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, content: Any, error: str
) -> None:
    arguments = lines(tmp_path, {"question": "A?"})[:2]
    if content is not None:
        (tmp_path / "mine.prompty").write_text(content)
    assert batch.main([*arguments, flag, "mine.prompty"]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.promptflow
def test_promptflows_engine_gives_the_same_rows(tmp_path: Path, server: ChatServer) -> None:
    server.usual = healthy
    desk = Desk(tmp_path, server, lines=2, engine="promptflow")
    with_tone(tmp_path)
    row = {"question": "Question 0?", "tone": "dry", "reference": "So.", "statements": STATEMENTS}
    code, printed = desk.run(*lines(tmp_path, row, {**row, "question": "Question 1?", "tone": "kind"}))
    assert code == 0, printed
    desk.check_complete()
    assert [(row["inputs"], row["reference"]) for row in desk.rows()] == [
        ({"tone": "dry"}, "So."),
        ({"tone": "kind"}, "So."),
    ]
    assert sorted(told(server)) == [f"You are a helpful assistant. Be {tone}." for tone in ("dry", "kind")]
    judged = [str(seen.messages) for seen in server.requests if not seen.body.get("stream")]
    assert all("<question " in text and "<reference " in text for text in judged)


# --- As promptflow sees them


def test_promptflow_sees_the_inputs_as_parameters_of_their_types(tmp_path: Path) -> None:
    async def entry(question: str = "Why?", chat_history: Any = None, **inputs: Any) -> str:
        return question

    shown = inspect.signature(takes_inputs_of(with_tone(tmp_path, "    default: plain\n  n:\n    type: int\n"))(entry))
    assert list(shown.parameters) == ["question", "chat_history", "tone", "n"]
    tone, number = shown.parameters["tone"], shown.parameters["n"]
    assert (tone.annotation, tone.default) == (str, "plain")
    assert (number.annotation, number.default) == (int, inspect.Parameter.empty)


def test_without_inputs_of_its_own_the_flow_looks_as_ever() -> None:
    assert list(inspect.signature(ChatFlow.__call__).parameters) == ["self", "question", "chat_history"]


@pytest.mark.slow
@pytest.mark.promptflow
@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [
        ["flow", "test", "--flow", ".", "--inputs", "question=What?", "tone=dry"],
        [*RUN, "--column-mapping", "question=${data.question}", "tone=${data.tone}"],
    ],
    ids=["flow test", "run create"],
)
def test_promptflows_commands_fill_an_input_that_was_added_to_chat_prompty(
    server: ChatServer, tmp_path: Path, words: list[str]
) -> None:
    init = json.dumps({"model": "m", "base_url": server.base_url, "api_key": KEY})
    own = tmp_path / "chat-async-stream"
    own.mkdir()
    (own / "own.jsonl").write_text('{"question": "What?", "tone": "dry"}\n')
    added = with_tone(tmp_path).read_text()
    printed = pf(tmp_path, *words, "--init", f"model_config={init}", changed={"chat.prompty": added})
    assert told(server) == ["You are a helpful assistant. Be dry."], printed


# --- What a front matter may say


@pytest.mark.parametrize(
    ("head", "error"),
    [
        ("template: mustache", "template: 'mustache' cannot be done"),
        ("template: {format: mustache, parser: prompty}", "template: 'mustache' cannot be done"),
        ("model: {id: gpt-4.1, provider: openai}", "model: id cannot be done: it is another format's"),
        ("model: {options: {temperature: 0}}", "model: options cannot be done: it is another format's"),
        ("model: {api: completion}", "model: api: 'completion' cannot be done: only chat is asked"),
        ("model: {response: all}", "model: response: 'all' cannot be done: a flow gives one text"),
        ("model: {parameters: {n: 2}}", "parameters: n: 2 cannot be done"),
        ("model: {parameters: {tools: [{}]}}", "parameters: tools cannot be done"),
        ("model: {parameters: {timeout: 5}}", "parameters: timeout cannot be done: set MODEL_TIMEOUT_S"),
        ("model: {parameters: {extra_body: {}}}", "parameters: extra_body cannot be done"),
        ("model: {parameters: {seed: '${env:SEED}'}}", "parameters: seed: '${env:SEED}' cannot be done"),
        ("inputs: {picture: {type: image}}", "inputs: picture: type: image cannot be done: only text is sent"),
        ("model: gpt-4o", "model must have keys of its own, got str; write them"),
        ("model: {configuration: '${file:c.json}'}", "model: configuration must have keys of its own, got '${file:c"),
        ("model: {configuration: [{api_key: k}]}", "model: configuration must have keys of its own, got list"),
        ("model: {configuration: {model: '${file:m}'}}", "model: configuration: model: '${file:m}' cannot be done"),
        ("model: {configuration: {azure_deployment: 4}}", "model: configuration: azure_deployment: 4 cannot be done"),
        (
            "model: {parameters: {max_tokens: '512'}}",
            "parameters: max_tokens must be a whole number above 0, got '512'",
        ),
        ("model: {parameters: {max_tokens: true}}", "parameters: max_tokens must be a whole number above 0, got True"),
        ("model: {parameters: {max_completion_tokens: 0.5}}", "parameters: max_completion_tokens must be a whole numb"),
        ("model: {parameters: {max_completion_tokens: -1}}", "parameters: max_completion_tokens must be a whole numb"),
        ("model: {parameters: [1]}", "model: parameters must have keys of its own"),
        ("inputs: [question]", "inputs must have keys of its own"),
        ("outputs: {a: {type: string}}\nmodel: {parameters: {response_format: {type: json_object}}}", "outputs cannot"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(head: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "mine.prompty").write_text(f"---\n{head}\n---\nuser:\nHi\n")
    with pytest.raises(ValueError, match=rf"mine\.prompty: {re.escape(error)}"):
        Prompt.load(tmp_path / "mine.prompty")


def test_what_can_be_done_reaches_the_service(server: ChatServer, tmp_path: Path) -> None:
    parameters = {"seed": 7, "stop": ["END"], "response_format": {"type": "json_object"}, "reasoning_effort": "low"}
    head = {"model": {"api": "chat", "response": "first", "parameters": {**parameters, "n": 1}}}
    head["inputs"] = {"question": {"type": "string"}}
    (tmp_path / "mine.prompty").write_text(f"---\n{json.dumps(head)}\n---\nuser:\n{{{{question}}}}\n")
    assert asyncio.run(read(flow_at(server, tmp_path / "mine.prompty"), "What?")) == "Hello there."
    assert {name: server.requests[0].body[name] for name in parameters} == parameters
    # Outputs of a text are its name for promptflow, and change nothing.
    (tmp_path / "mine.prompty").write_text("---\noutputs:\n  output:\n    type: string\n---\nuser:\n{{question}}\n")
    assert Prompt.load(tmp_path / "mine.prompty").inputs == ("question",)


# --- The model and the service that it names


def naming(folder: Path, configuration: str) -> Path:
    path = folder / "mine.prompty"
    path.write_text(f"---\nmodel:\n  configuration: {{{configuration}}}\n---\nuser:\n{{{{question}}}}\n")
    return path


def test_a_model_named_by_a_variable_is_that_variables_value(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_DEPLOYMENT", "mine-4o")
    (tmp_path / ".env").write_text("MY_MODEL=mine-4o\n")
    azure = naming(tmp_path, "azure_deployment: '${env:MY_DEPLOYMENT}'")
    config = {"azure_endpoint": server.base_url, "api_key": KEY}
    assert ChatFlow(config, prompt=str(azure)).model.name == "mine-4o"
    openai = naming(tmp_path, "model: '${env:MY_MODEL}'")
    assert asyncio.run(read(ChatFlow({"base_url": server.base_url}, prompt=str(openai)), "What?")) == "Hello there."
    assert server.requests[-1].body["model"] == "mine-4o"


def test_a_variable_that_is_not_set_is_refused_by_its_name_where_no_other_model_is_named(tmp_path: Path) -> None:
    path = naming(tmp_path, "model: '${env:NOT_SET_ANYWHERE}'")
    error = r"mine\.prompty: model: configuration: model: \$\{env:NOT_SET_ANYWHERE\} is a variable that is not set"
    with pytest.raises(ValueError, match=error):
        ChatFlow({"api_key": KEY}, prompt=str(path))
    assert ChatFlow({"api_key": KEY, "model": "m"}, prompt=str(path)).model.name == "m"


@pytest.mark.parametrize(
    ("configuration", "key"),
    [
        (f"api_key: {KEY}", "api_key"),
        ("base_url: 'http://127.0.0.1:9/v1'", "base_url"),
        ("base_url: '${env:MY_ADDRESS}'", "base_url"),
        ("api_key: '${env:AZURE_OPENAI_API_KEY}'", "api_key"),  # OpenAI is asked
        ("azure_endpoint: '${env:AZURE_OPENAI_ENDPOINT}'", "azure_endpoint"),
        ("connection: mine", "connection"),
    ],
)
def test_a_service_that_a_prompt_names_is_never_passed_over_for_another_one(
    at_server: ChatServer, tmp_path: Path, configuration: str, key: str
) -> None:
    path = str(naming(tmp_path, configuration))
    with pytest.raises(
        ValueError, match=rf"^mine\.prompty: model: configuration: {key} is not what is asked"
    ) as raised:
        ChatFlow(None, prompt=path)
    assert KEY not in str(raised.value)
    assert at_server.requests == []
    assert ChatFlow({"model": "m", "base_url": at_server.base_url}, prompt=path).model.name == "m"


def test_a_service_named_by_the_variables_that_are_read_is_the_one_that_is_asked(
    at_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openai = "model: m, base_url: '${env:OPENAI_BASE_URL}', api_key: '${env:OPENAI_API_KEY}'"
    assert asyncio.run(read(ChatFlow(prompt=str(naming(tmp_path, openai))), "What?")) == "Re: What?"
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    for name, value in (("ENDPOINT", "http://127.0.0.1:9"), ("API_KEY", KEY)):
        monkeypatch.setenv(f"AZURE_OPENAI_{name}", value)
    azure = "azure_endpoint: '${env:AZURE_OPENAI_ENDPOINT}', api_key: '${env:AZURE_OPENAI_API_KEY}'"
    model = ChatFlow(prompt=str(naming(tmp_path, f"azure_deployment: d, {azure}"))).model
    assert (model.name, model.service.base_url, model.service.api_key) == ("d", "http://127.0.0.1:9", KEY)


# --- The example


@pytest.mark.filterwarnings("ignore::flowkit.model.configuration.OfflineModelWarning")
def test_the_example_runs_as_its_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = PROJECT / "examples" / "own_input" / "README.md"
    command, shown = re.fullmatch(r"\$ python batch\.py (.*)\n(.*)\n", documents.blocks(readme, "console")[0]).groups()  # type: ignore[union-attr]
    monkeypatch.chdir(PROJECT)
    assert batch.main([*command.split(), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    said = capsys.readouterr()
    assert shown in said.out
    assert "statement" not in said.err
    rows = rows_of(tmp_path)
    assert [row.get("inputs") for row in rows] == [{"tone": "dry"}, None]
    assert {verdict["score"] for row in rows for verdict in row["verdicts"].values()} <= {4, 5}
    assert len(readme.read_text().splitlines()) <= 10


@pytest.mark.parametrize(
    "template", ["jinja2", "{format: jinja2, parser: prompty}", "{type: jinja2}", "{parser: prompty}"]
)
def test_a_template_of_jinjas_may_be_named_in_each_way(template: str, tmp_path: Path) -> None:
    (tmp_path / "mine.prompty").write_text(f"---\ntemplate: {template}\n---\nuser:\nHi\n")
    assert Prompt.load(tmp_path / "mine.prompty").messages() == [{"role": "user", "content": "Hi"}]
