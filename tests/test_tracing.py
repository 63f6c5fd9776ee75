"""What a trace tells of an answer and of its verdicts, however they end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags

from check_list import EvalFlow
from flow import ChatFlow
from flowkit.base import tracing
from tests import programs
from tests.chat_server import USAGE, Act, Answer, ChatServer, Hang, Status
from tests.notebook import copy_of_project

MODEL_SPAN = "chat gpt-4o"
KEY = "sk-in-no-trace-1234"
SUMS = {"prompt": 11, "completion": 3, "total": 14}  # USAGE, as promptflow's page names it
VERDICT = '{"explanation": "It says so.", "score": 4}'


class Switch(Sampler):
    """Record only while a test asks for it: a process never loses its tracer provider again."""

    on = False

    def should_sample(self, *arguments: Any, **more: Any) -> SamplingResult:
        """Keep everything or nothing."""
        return SamplingResult(Decision.RECORD_AND_SAMPLE if self.on else Decision.DROP)

    def get_description(self) -> str:
        """Name this sampler."""
        return "Switch"


class Spans:
    """The spans that have ended so far."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.exporter = exporter

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name in the order in which they were started."""
        found = [span for span in self.exporter.get_finished_spans() if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def only(self, name: str) -> ReadableSpan:
        """Return the one span of a name."""
        (found,) = self.named(name)
        return found

    def tree(self) -> dict[str, list[str]]:
        """Return {name: names of the children}, with "" for what has no parent here."""
        ended = self.exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in ended}
        found: dict[str, list[str]] = {}
        for span in sorted(ended, key=lambda span: span.start_time or 0):
            above = names.get(span.parent.span_id, "lost") if span.parent else ""
            found.setdefault(above, []).append(span.name)
        return found


@pytest.fixture(scope="module")
def recorder() -> Iterator[tuple[Switch, InMemorySpanExporter]]:
    """Set this process up for tracing, or join the set-up that promptflow made in it."""
    exporter = InMemorySpanExporter()
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider(sampler=Switch()))
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    switch = provider.sampler if isinstance(provider.sampler, Switch) else Switch()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield switch, exporter
    exporter.shutdown()


@pytest.fixture
def spans(recorder: tuple[Switch, InMemorySpanExporter]) -> Iterator[Spans]:
    """Return the spans that this test ends; none of them may tell the key."""
    switch, exporter = recorder
    exporter.clear()
    switch.on = True
    yield Spans(exporter)
    switch.on = False
    assert KEY not in "".join(span.to_json() for span in exporter.get_finished_spans())


ONE_ANSWER = {"": ["ChatFlow"], "ChatFlow": ["Stream Chat", MODEL_SPAN]}


def kept(span: ReadableSpan, name: str) -> Any:
    """Return an attribute that is JSON."""
    return json.loads(str((span.attributes or {})[name]))


def events(span: ReadableSpan) -> dict[str, Any]:
    """Return {name: payload} of promptflow's events, each of which a span has once."""
    ours = [event for event in span.events if event.name.startswith("promptflow.")]
    found = {
        event.name.removeprefix("promptflow."): json.loads(str((event.attributes or {})["payload"])) for event in ours
    }
    assert len(found) == len(ours)
    return found


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def number(span: ReadableSpan) -> int:
    return int(span.context.span_id)


def tokens(span: ReadableSpan, beginning: str = "__computed__.cumulative_token_count.") -> dict[str, Any]:
    """Return the token counts of a span and of all below it."""
    return {
        name.removeprefix(beginning): n for name, n in (span.attributes or {}).items() if name.startswith(beginning)
    }


def at(server: ChatServer) -> dict[str, Any]:
    return {"model": "gpt-4o", "base_url": server.base_url, "api_key": KEY, "max_retries": 0}


async def read(server: ChatServer, question: str = "What is it?") -> str:
    return "".join([piece async for piece in ChatFlow(at(server)).stream(question)])


def test_an_answer_is_one_tree_of_the_flow_its_prompt_and_its_model(server: ChatServer, spans: Spans) -> None:
    asyncio.run(read(server))
    assert spans.tree() == ONE_ANSWER
    for name in ("ChatFlow", "Stream Chat", MODEL_SPAN):
        assert spans.only(name).status.status_code is StatusCode.OK


def test_the_models_span_tells_what_was_sent_what_came_and_what_it_cost(server: ChatServer, spans: Spans) -> None:
    asyncio.run(read(server))
    model, sent = spans.only(MODEL_SPAN), server.requests[0].body
    assert kept(model, "inputs") == events(model)["function.inputs"] == sent
    assert (sent["model"], sent["messages"][-1]) == ("gpt-4o", {"role": "user", "content": "What is it?"})
    assert kept(model, "output") == events(model)["function.output"] == "Hello there."
    assert events(model)["llm.generated_message"] == {"role": "assistant", "content": "Hello there."}
    assert (model.attributes or {})["llm.response.model"] == "gpt-4o"
    assert tokens(model, "llm.usage.") == USAGE


def test_the_flows_span_tells_question_answer_and_all_tokens_for_the_page_shows_those_of_the_topmost(
    server: ChatServer, spans: Spans
) -> None:
    asyncio.run(read(server))
    flow = spans.only("ChatFlow")
    assert events(flow)["function.inputs"] == {"question": "What is it?", "chat_history": None}
    assert kept(flow, "output") == events(flow)["function.output"] == "Hello there."
    assert tokens(flow) == tokens(spans.only(MODEL_SPAN)) == SUMS


def test_the_prompts_span_tells_the_template_what_went_in_and_the_messages(server: ChatServer, spans: Spans) -> None:
    asyncio.run(read(server))
    prompt = spans.only("Stream Chat")
    assert "{{question}}" in events(prompt)["prompt.template"]["prompt.template"]
    assert kept(prompt, "prompt.variables") == {"question": "What is it?", "chat_history": []}
    assert events(prompt)["function.output"] == server.requests[0].messages
    assert tokens(prompt) == {}


def test_an_answer_that_the_server_cuts_off_is_an_error_that_keeps_the_text_so_far(
    server: ChatServer, spans: Spans
) -> None:
    server.usual = Answer(cut_after=2)
    with pytest.raises(openai.APIConnectionError):
        asyncio.run(read(server))
    assert spans.tree() == ONE_ANSWER
    for span in (spans.only(MODEL_SPAN), spans.only("ChatFlow")):
        assert span.status.status_code is StatusCode.ERROR
        assert str(span.status.description).startswith("APIConnectionError: ")
        assert "exception" in [event.name for event in span.events]
        assert events(span)["function.output"] == "Hello there"
        assert tokens(span) == {}  # the service did not come to say
    assert spans.only("Stream Chat").status.status_code is StatusCode.OK


def test_an_answer_that_its_reader_leaves_is_marked_abandoned_and_is_no_error(server: ChatServer, spans: Spans) -> None:
    server.usual = Answer(stall_after=1)

    async def leave() -> None:
        async with aclosing(ChatFlow(at(server)).stream("What is it?")) as pieces:
            async for _ in pieces:
                break

    asyncio.run(leave())
    assert spans.tree() == ONE_ANSWER
    for span in (spans.only(MODEL_SPAN), spans.only("ChatFlow")):
        assert (span.attributes or {})["output_type"] == "abandoned"
        assert span.status.status_code is StatusCode.UNSET
        assert events(span)["function.output"] == "Hello"


def test_an_answer_that_is_cancelled_is_an_error_that_keeps_the_text_so_far(server: ChatServer, spans: Spans) -> None:
    server.usual = Answer(stall_after=1)

    async def lose_patience() -> None:
        async with aclosing(ChatFlow(at(server)).stream("What is it?")) as pieces:
            await anext(pieces)
            await asyncio.wait_for(anext(pieces), timeout=0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(lose_patience())
    assert spans.tree() == ONE_ANSWER
    for span in (spans.only(MODEL_SPAN), spans.only("ChatFlow")):
        assert span.status.status_code is StatusCode.ERROR
        assert str(span.status.description).startswith("CancelledError")
        assert events(span)["function.output"] == "Hello"


def test_an_answer_that_never_begins_is_an_error_of_the_model_and_the_flow(server: ChatServer, spans: Spans) -> None:
    server.usual = Hang()
    with pytest.raises(TimeoutError):
        asyncio.run(read_for(server, give_up_after_s=0.05))
    assert spans.tree() == ONE_ANSWER
    for span in (spans.only(MODEL_SPAN), spans.only("ChatFlow")):
        assert "did not begin to answer" in str(span.status.description)


async def read_for(server: ChatServer, **limits: float) -> None:
    async for _ in ChatFlow({**at(server), **limits}).stream("What is it?"):
        pass


def test_answers_read_in_turns_keep_their_trees_and_their_readers_spans_apart(server: ChatServer, spans: Spans) -> None:
    async def read_in_turns() -> None:
        async with aclosing(ChatFlow(at(server)).stream("A?")) as a, aclosing(ChatFlow(at(server)).stream("B?")) as b:
            async for _ in a:
                await anext(b)
                with trace.get_tracer("tests").start_as_current_span("reader"):
                    pass
            async for _ in b:
                pass

    asyncio.run(read_in_turns())
    assert [parent(span) for span in spans.named("reader")] == [None] * 3
    first, second = spans.named("ChatFlow")
    for flow, prompt, model in zip((first, second), spans.named("Stream Chat"), spans.named(MODEL_SPAN), strict=True):
        assert parent(flow) is None
        assert parent(prompt) == parent(model) == number(flow)
        assert kept(flow, "inputs")["question"] == kept(prompt, "inputs")["question"]


def test_a_span_that_a_sampler_drops_is_the_current_one_too_so_that_what_is_below_is_dropped() -> None:
    dropped = NonRecordingSpan(SpanContext(trace_id=1, span_id=2, is_remote=False, trace_flags=TraceFlags(0)))
    with tracing.current(dropped):
        assert trace.get_current_span() is dropped


def test_an_evaluation_is_one_tree_of_its_checks_and_their_models(server: ChatServer, spans: Spans) -> None:
    server.usual = Answer(deltas=[VERDICT])
    EvalFlow(at(server))("ChatGPT is a model.", {"a": "It is right.", "b": "It is short."})
    checks, models = spans.named("check"), spans.named(MODEL_SPAN)
    assert {kept(check, "inputs")["statement"] for check in checks} == {"It is right.", "It is short."}
    assert {parent(model) for model in models} == {number(check) for check in checks}
    assert {parent(check) for check in checks} == {number(spans.only("EvalFlow"))}
    assert set(kept(spans.only("EvalFlow"), "output")) == {"a", "b"}
    for check in checks:
        assert events(check)["function.output"].items() >= {"score": 4, "explanation": "It says so."}.items()
        assert tokens(check) == SUMS
    for model in models:
        assert kept(model, "output") == VERDICT
        assert tokens(model, "llm.usage.") == USAGE


def test_all_votes_and_further_asks_are_below_the_check_of_their_statement(server: ChatServer, spans: Spans) -> None:
    server.script, server.usual = [Answer(deltas=["I like it."])], Answer(deltas=[VERDICT])
    EvalFlow(at(server), votes=3)("ChatGPT is a model.", {"a": "It is right."})
    assert [parent(model) for model in spans.named(MODEL_SPAN)] == [number(spans.only("check"))] * 4


def test_a_judge_who_fails_is_an_error_of_the_model_and_the_check(server: ChatServer, spans: Spans) -> None:
    server.usual = Status(400)
    with pytest.raises(openai.BadRequestError):
        EvalFlow(at(server))("ChatGPT is a model.", {"a": "It is right."})
    for span in (spans.only(MODEL_SPAN), spans.only("check"), spans.only("EvalFlow")):
        assert span.status.status_code is StatusCode.ERROR
    assert parent(spans.only(MODEL_SPAN)) == number(spans.only("check"))


def test_an_evaluation_is_below_the_span_in_which_it_is_called_and_its_tokens_are_that_ones_too(
    server: ChatServer, spans: Spans
) -> None:
    server.usual = Answer(deltas=[VERDICT])

    async def call() -> None:  # the checks run on another thread's loop
        with trace.get_tracer("tests").start_as_current_span("caller"):
            EvalFlow(at(server))("ChatGPT is a model.", {"a": "It is right.", "b": "It is short."})

    asyncio.run(call())
    caller = spans.only("caller")
    assert parent(spans.only("EvalFlow")) == number(caller)
    assert [parent(check) for check in spans.named("check")] == [number(spans.only("EvalFlow"))] * 2
    assert {parent(model) for model in spans.named(MODEL_SPAN)} == {number(check) for check in spans.named("check")}
    assert tokens(caller) == {name: 2 * count for name, count in SUMS.items()}
    assert "output" not in (caller.attributes or {})


def test_a_span_above_that_ends_before_the_answer_is_left_alone(
    server: ChatServer, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    async def outlive() -> None:
        async with aclosing(ChatFlow(at(server)).stream("What is it?")) as pieces:
            with trace.get_tracer("tests").start_as_current_span("caller"):
                await anext(pieces)
            async for _ in pieces:
                pass

    asyncio.run(outlive())
    assert parent(spans.only("ChatFlow")) == number(spans.only("caller"))
    assert tokens(spans.only("caller")) == {}
    assert caplog.text == ""


@pytest.mark.parametrize(
    "act",
    [
        Answer(),
        Status(401, message=f"Incorrect API key provided: {KEY}."),
        Answer(finish=None, raw_after=f'data: {{"error": {{"message": "no such key: {KEY}"}}}}\n\n'),
        Answer(raw_after=f"data: {KEY} is no JSON\n\n"),
    ],
    ids=["success", "refused", "refused amid the stream", "no JSON"],
)
def test_no_span_tells_the_key_even_when_the_service_repeats_it(server: ChatServer, spans: Spans, act: Act) -> None:
    server.usual = act
    outcome = asyncio.run(settled(read(server)))
    assert (outcome == "Hello there.") is (act == Answer())
    assert spans.tree() == ONE_ANSWER
    assert KEY not in "".join(span.to_json() for name in ("ChatFlow", MODEL_SPAN) for span in spans.named(name))


async def settled(work: Any) -> Any:
    """Return what `work` returns or raises."""
    return (await asyncio.gather(work, return_exceptions=True))[0]


@pytest.mark.slow
def test_untraced_an_answer_of_ten_megabytes_takes_no_memory(server: ChatServer) -> None:
    server.script = [Answer(), Answer(deltas=["x" * 1000] * 10_000)]
    not_sampled = SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=TraceFlags(0))

    async def measure() -> tuple[int, int]:
        await read_length(server)  # builds the client
        tracemalloc.start()
        try:
            return await read_length(server), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with trace.use_span(NonRecordingSpan(not_sampled)):
        length, peak = asyncio.run(measure())
    assert length == 10_000_000
    assert peak < 2_000_000


async def read_length(server: ChatServer) -> int:
    length = 0
    async for piece in ChatFlow(at(server)).stream("What is it?"):
        length += len(piece)
    return length


ASK = """
import asyncio
from promptflow.tracing import start_trace
from flow import ChatFlow

async def main():
    async for _ in ChatFlow()("What is it?"):
        pass

start_trace(collection="tests", attributes={"line_run_id": "my-line", "batch_run_id": "my-run", "line_number": 7})
asyncio.run(main())
"""


@pytest.mark.promptflow
@pytest.mark.slow
@pytest.mark.long
def test_promptflows_trace_page_gets_the_tree_its_tokens_and_the_run(server: ChatServer, tmp_path: Path) -> None:
    project, port = copy_of_project(tmp_path), programs.free_port()
    model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "gpt-4o"}
    environment = programs.environment_of(tmp_path / "home", **model)
    settings = Path(environment["PF_HOME_DIRECTORY"]) / "pf.yaml"
    settings.write_text(settings.read_text().replace("destination: none", "destination: local"))
    # In the foreground, so that it is a child of ours; `start_trace()` finds it by the port that it noted in the home.
    service = [sys.executable, "-m", "promptflow._cli.pf", "service", "start", "--debug", "--port", str(port)]
    with programs.running(service, project, environment, lambda: programs.answers(port, "/heartbeat")):
        subprocess.run([sys.executable, "-c", ASK], cwd=project, env=environment, check=True, timeout=120)
        (line,) = programs.get_json(port, "/v1.0/LineRuns/list?run=my-run")
        spans = programs.get_json(port, f"/v1.0/Spans/list?lazy_load=false&trace_ids={line['trace_id']}")
        assert programs.get_json(port, "/v1.0/LineRuns/list?collection=tests") == [line]

    assert (line["line_run_id"], line["name"], line["status"]) == ("my-line", "ChatFlow", "Ok")
    assert line["inputs"] == {"question": "What is it?", "chat_history": None}
    assert line["outputs"] == "Hello there."
    assert line["cumulative_token_count"] == SUMS
    parents = {span["context"]["span_id"]: span["parent_id"] for span in spans}
    ids = {span["name"]: span["context"]["span_id"] for span in spans}
    assert ids["ChatFlow"] == line["root_span_id"]
    assert parents == {ids["ChatFlow"]: None, ids["Stream Chat"]: ids["ChatFlow"], ids[MODEL_SPAN]: ids["ChatFlow"]}
    assert {span["name"]: span["attributes"]["span_type"] for span in spans}[MODEL_SPAN] == "LLM"
    assert KEY not in json.dumps(spans)
