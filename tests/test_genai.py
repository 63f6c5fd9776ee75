"""What spans tell by OpenTelemetry's GenAI conventions, and what they keep to themselves."""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import batch
from check_list import EvalFlow
from flow import ChatFlow
from flowkit.base import genai
from flowkit.base.otlp import Discreet
from flowkit.base.scale import FIVE, PASS, Scale
from tests.chat_server import USAGE, Act, Answer, ChatServer, Status
from tests.collector import messages
from tests.desk import healthy
from tests.test_tracing import KEY, Spans, at, number, parent, read, recorder, spans  # noqa: F401 - fixtures

VERDICT = Answer(deltas=['{"explanation": "It says so.", "score": 4}'])
SECRET = "pelican"  # in each question and answer of the tests about content
pytestmark = pytest.mark.usefixtures("spans")


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for content."""
    monkeypatch.setenv(genai.CAPTURE_CONTENT, "True")


@pytest.fixture(scope="module")
def outside(recorder: Any) -> Iterator[InMemorySpanExporter]:  # noqa: F811
    """Return what leaves the process."""
    sent = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(Discreet(sent, "a viewer")))
    yield sent
    sent.shutdown()


def told(span: ReadableSpan) -> dict[str, Any]:
    """Return what the span tells by the conventions."""
    known = {value for name, value in vars(genai).items() if name.isupper() and isinstance(value, str)}
    return {name: value for name, value in (span.attributes or {}).items() if name in known}


def verdicts(span: ReadableSpan) -> list[dict[str, Any]]:
    """Return the evaluations of a span, without the beginning that all their names share."""
    found = [event for event in span.events if event.name == "gen_ai.evaluation.result"]
    return [
        {name.removeprefix("gen_ai.evaluation."): value for name, value in (event.attributes or {}).items()}
        for event in found
    ]


def test_the_names_are_those_of_the_conventions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its enumerations, since the names have a new home
        from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, server_attributes
    known = {
        value
        for module in (gen_ai_attributes, server_attributes, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    ours = {value for value in vars(genai).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    newer = {name for name in ours if name.startswith("gen_ai.evaluation.")}  # than the package beside promptflow
    newer |= {genai.FIRST_CHUNK_S, genai.REQUEST_STREAM}
    assert len(ours) > 20
    assert ours | {genai.SERVER_ADDRESS, genai.SERVER_PORT, genai.ERROR_TYPE} <= known | newer


def test_a_request_tells_model_server_parameters_tokens_and_times_but_no_text(
    server: ChatServer,
    spans: Spans,  # noqa: F811
) -> None:
    asyncio.run(read(server))
    span = spans.only("chat gpt-4o")
    found = told(span)
    assert 0 < found.pop(genai.FIRST_CHUNK_S) < 60
    assert found.pop(genai.RESPONSE_ID) == "x"
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "gen_ai.output.type": "text",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": USAGE["prompt_tokens"],
        "gen_ai.usage.output_tokens": USAGE["completion_tokens"],
        "server.address": "127.0.0.1",
        "server.port": int(server.base_url.split(":")[2].removesuffix("/v1")),
    }
    assert span.kind is SpanKind.CLIENT
    assert spans.only("ChatFlow").kind is SpanKind.INTERNAL


@pytest.mark.usefixtures("captured")
def test_asked_for_content_a_request_tells_its_messages_and_the_answer(
    server: ChatServer,
    spans: Spans,  # noqa: F811
) -> None:
    asyncio.run(read(server))
    found = told(spans.only("chat gpt-4o"))
    sent = [(each["role"], each["content"]) for each in server.requests[0].messages]
    assert messages(found[genai.INPUT_MESSAGES]) == sent
    assert json.loads(found[genai.OUTPUT_MESSAGES]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello there."}], "finish_reason": "stop"}
    ]


def test_azure_is_told_as_what_it_is(server: ChatServer, spans: Spans) -> None:  # noqa: F811
    address = server.base_url.removesuffix("/v1")
    server.usual = Status(404)
    with pytest.raises(openai.NotFoundError):
        asyncio.run(read_all(ChatFlow({"azure_deployment": "gpt-4o", "azure_endpoint": address, "api_key": KEY})))
    assert told(spans.only("chat gpt-4o"))["gen_ai.provider.name"] == "azure.ai.openai"


async def read_all(flow: Any) -> None:
    async for _ in flow("What is it?"):
        pass


@pytest.mark.parametrize(
    ("act", "error"), [(Status(400), "BadRequestError"), (Answer(cut_after=2), "APIConnectionError")]
)
def test_a_request_that_fails_tells_the_kind_of_its_error(
    server: ChatServer,
    spans: Spans,  # noqa: F811
    act: Act,
    error: str,
) -> None:
    server.usual = act
    with pytest.raises(openai.APIError):
        asyncio.run(read(server))
    found = told(spans.only("chat gpt-4o"))
    assert found["error.type"] == error
    assert genai.FINISH_REASONS not in found


def test_a_judgement_tells_each_verdict_by_the_name_of_its_statement(
    server: ChatServer,
    spans: Spans,  # noqa: F811
) -> None:
    server.script, server.usual = [VERDICT], Answer(deltas=["I would say so."])
    asyncio.run(EvalFlow(at(server)).judge("It is a bird.", {"right": "It is right."}))
    asyncio.run(EvalFlow(at(server)).judge("It is a bird.", {"short": "It is short."}))
    first, second = spans.named("EvalFlow")
    assert verdicts(first) == [
        {"name": "right", "score.value": 4.0, "score.label": "pass", "explanation": "It says so."}
    ]
    (unscored,) = verdicts(second)
    assert unscored.pop("explanation")
    assert unscored == {"name": "short", "score.label": "unscored", "error.type": "unreadable"}
    assert told(spans.named("chat gpt-4o")[0])["gen_ai.output.type"] == "json"


@pytest.mark.parametrize(
    ("scale", "score", "label"),
    [(FIVE, 1, "fail"), (FIVE, 3, "fail"), (FIVE, 4, "pass"), (FIVE, 5, "pass"), (PASS, 0, "fail"), (PASS, 1, "pass")],
)
def test_the_label_says_on_which_side_of_the_pass_mark_a_score_is(
    spans: Spans,  # noqa: F811
    scale: Scale,
    score: int,
    label: str,
) -> None:
    with trace.get_tracer("tests").start_as_current_span("judged") as span:
        genai.record_evaluation(span, "right", score, "", scale=scale)
    assert verdicts(spans.only("judged"))[0]["score.label"] == label


def test_half_a_letter_in_an_explanation_does_not_cost_the_spans(spans: Spans) -> None:  # noqa: F811
    with trace.get_tracer("tests").start_as_current_span("judged") as span:
        genai.record_evaluation(span, "right", 4, "half \ud83d of it")  # JSON can say so, OTLP cannot
    assert verdicts(spans.only("judged"))[0]["explanation"].encode().startswith(b"half ")


@pytest.fixture
def folder(tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two lines, and the environment of a run over them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_MODEL", "gpt-4o")
    statements = {"short": "It is short.", "right": "It is right."}
    lines = [{"question": f"Which {SECRET} is number {i}?", "statements": statements} for i in (1, 2)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def run(*more: str) -> int:
    return batch.main(["--data", "data.jsonl", "--quiet", *more])


@pytest.mark.usefixtures("folder")
def test_in_a_batch_a_line_is_one_tree_of_its_answer_and_its_verdicts(
    server: ChatServer,
    spans: Spans,  # noqa: F811
) -> None:
    server.usual = healthy
    assert run() == 0
    lines = spans.named("line")
    assert [parent(line) for line in lines] == [None, None]
    assert {(line.attributes or {})["line_number"] for line in lines} == {1, 2}
    for line in lines:
        below = [span for span in spans.exporter.get_finished_spans() if span.context.trace_id == line.context.trace_id]
        assert sorted(span.name for span in below) == sorted(
            ["line", "ChatFlow", "Stream Chat", "EvalFlow", "check", "check", *["chat gpt-4o"] * 3]
        )
        assert [parent(span) for span in below if span.name in ("ChatFlow", "EvalFlow")] == [number(line)] * 2
        assert {each["name"] for each in verdicts(line)} == {"short", "right"}
        assert (line.attributes or {})["__computed__.cumulative_token_count.total"] == 3 * USAGE["total_tokens"]


@pytest.mark.usefixtures("folder")
def test_a_line_that_fails_is_an_error_and_resumed_its_tree_has_what_was_missing(
    server: ChatServer,
    spans: Spans,  # noqa: F811
) -> None:
    def no_judge(body: dict[str, Any]) -> Act:
        return healthy(body) if body.get("stream") or "It is short" in str(body) else Status(400)

    server.usual = no_judge
    assert run("--out", "out") == 3
    for line in spans.named("line"):
        assert line.status.status_code is StatusCode.ERROR
        assert told(line)["error.type"] == "BadRequestError"
        assert [each["name"] for each in verdicts(line)] == ["short"]
    spans.exporter.clear()
    server.usual = healthy
    assert run("--resume", "out") == 0
    assert [[each["name"] for each in verdicts(line)] for line in spans.named("line")] == [["right"]] * 2
    assert spans.named("ChatFlow") == []
    spans.exporter.clear()
    assert run("--resume", "out") == 0
    assert spans.named("line") == []


def all_of(sent: InMemorySpanExporter) -> str:
    return "".join(span.to_json() for span in sent.get_finished_spans())


@pytest.mark.usefixtures("folder")
def test_what_was_asked_and_said_does_not_leave_the_process(
    server: ChatServer,
    spans: Spans,  # noqa: F811
    outside: InMemorySpanExporter,
) -> None:
    server.usual = lambda body: healthy(body) if body.get("stream") else said_of(SECRET)
    outside.clear()
    assert run() == 0
    sent = all_of(outside)
    assert SECRET not in sent
    assert "You are a helpful assistant" not in sent
    assert '"gen_ai.evaluation.score.value": 4' in sent
    assert '"gen_ai.usage.input_tokens"' in sent
    assert SECRET in all_of(spans.exporter)  # promptflow's page still has it


@pytest.mark.usefixtures("folder", "captured")
def test_asked_for_it_leaves(
    server: ChatServer,
    spans: Spans,  # noqa: F811
    outside: InMemorySpanExporter,
) -> None:
    server.usual = lambda body: healthy(body) if body.get("stream") else said_of(SECRET)
    outside.clear()
    assert run() == 0
    assert f"A fine {SECRET}." in all_of(outside)
    assert f"Which {SECRET} is number 1?" in all_of(outside)


def said_of(animal: str) -> Answer:
    return Answer(deltas=[json.dumps({"explanation": f"A fine {animal}.", "score": 4})])


@pytest.mark.parametrize("value", ["", "false", "no_content", "event_only", "0"])
def test_only_a_clear_yes_asks_for_content(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(genai.CAPTURE_CONTENT, value)
    assert not genai.captures_content()
    del os.environ[genai.CAPTURE_CONTENT]
    assert not genai.captures_content()
