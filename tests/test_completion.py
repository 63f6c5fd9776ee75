"""One request to a model: what streams, what is retried, what fails how, and what becomes of the connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import openai
import pytest

from flowkit.model.completion import Reply, complete_text, stream_text
from flowkit.model.configuration import Model, Service
from flowkit.prompt.history import Message
from tests.chat_server import Act, Answer, ChatServer, Hang, Reset, Status

KEY = "sk-never-shown-1234"
QUESTION: list[Message] = [{"role": "user", "content": "What is it?"}]


def model_at(server: ChatServer, name: str = "m", **limits: Any) -> Model:
    patient = {"timeout_s": 5, "give_up_after_s": 30, "max_retries": 2}
    return Model(name, Service(server.base_url, KEY, **{**patient, **limits}))


def ask(model: Model, reply: Reply | None = None) -> AsyncGenerator[str, None]:
    return stream_text(model, QUESTION, {"max_tokens": 9, "temperature": 0.2}, reply)


def read(model: Model, reply: Reply | None = None) -> list[str]:
    return read_each(model, [reply])[0]


def read_each(model: Model, replies: Sequence[Reply | None]) -> list[list[str]]:
    """Read one answer after the other, on one event loop."""

    async def collect() -> list[list[str]]:
        answers = []
        for reply in replies:
            answers.append([piece async for piece in ask(model, reply)])
        return answers

    return asyncio.run(collect())


def fail(model: Model, error: type[Exception]) -> tuple[list[str], str]:
    """Return what was read before the error, and what the error says."""
    seen: list[str] = []

    async def collect() -> None:
        async for piece in ask(model):
            seen.append(piece)

    with pytest.raises(error) as raised:
        asyncio.run(collect())
    assert KEY not in f"{raised.value} {raised.value!r}"
    return seen, str(raised.value)


def test_the_pieces_are_the_answer_and_the_reply_says_how_it_ended(server: ChatServer) -> None:
    reply = Reply()
    assert read(model_at(server), reply) == ["Hello", " there", "."]
    assert reply.finish_reason == "stop"
    assert reply.usage == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


def test_the_whole_answer_can_be_had_at_once(server: ChatServer) -> None:
    text, reply = asyncio.run(complete_text(model_at(server), QUESTION, {}))
    assert (text, reply.finish_reason) == ("Hello there.", "stop")


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_cut_can_be_told_from_a_finished_one(
    server: ChatServer, finish: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.usual = Answer(finish=finish)
    reply = Reply()
    assert read(model_at(server), reply) == ["Hello", " there", "."]
    assert reply.finish_reason == finish
    assert f"did not finish this answer: {finish}" in caplog.text


@pytest.mark.parametrize(
    "first",
    [
        Status(408),
        Status(409),
        Status(429),
        Status(429, headers=[("retry-after", "1")]),
        Status(500),
        Status(503),
        Reset(),
    ],
    ids=str,
)
def test_opening_an_answer_is_retried(server: ChatServer, first: Act) -> None:
    server.script = [first]
    assert "".join(read(model_at(server))) == "Hello there."
    assert len(server.requests) == 2


def test_a_silent_server_is_left_after_the_timeout_and_asked_again(server: ChatServer) -> None:
    server.script = [Hang()]
    assert "".join(read(model_at(server, timeout_s=0.3))) == "Hello there."
    assert len(server.requests) == 2


def test_a_retry_after_is_waited_for(server: ChatServer) -> None:
    server.script = [Status(429, headers=[("retry-after", "1.2")])]
    read(model_at(server))
    assert server.requests[1].came_s - server.requests[0].came_s >= 1.2


@pytest.mark.slow
def test_a_retry_after_may_be_a_date(server: ChatServer) -> None:
    then = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=3), usegmt=True)
    server.script = [Status(429, headers=[("retry-after", then)])]
    read(model_at(server))
    assert server.requests[1].came_s - server.requests[0].came_s >= 1.5  # dates have whole seconds


def test_a_retry_after_beyond_the_bound_fails_at_once(server: ChatServer) -> None:
    server.usual = Status(429, "slow down", headers=[("retry-after", "31")])
    seen, message = fail(model_at(server, give_up_after_s=30), openai.RateLimitError)
    assert (seen, len(server.requests)) == ([], 1)
    assert "429" in message
    assert "slow down" in message


def test_tries_are_bounded_in_number(server: ChatServer) -> None:
    server.usual = Status(500, "broken")
    service = Service(server.base_url, KEY, max_retries=1)
    _, message = fail(Model("m", service), openai.InternalServerError)
    assert len(server.requests) == 2
    assert "broken" in message


def test_tries_are_bounded_in_seconds(server: ChatServer) -> None:
    server.usual = Hang()
    _, message = fail(model_at(server, timeout_s=5, give_up_after_s=0.4), TimeoutError)
    assert f"m at {server.base_url} did not begin to answer within 0.4 s" in message


@pytest.mark.parametrize("act", [Answer(cut_after=2), Answer(cut_after=2, reset=True)], ids=["closed", "reset"])
def test_a_lost_connection_keeps_what_was_read_and_is_not_retried(server: ChatServer, act: Act) -> None:
    server.script = [act]
    seen, message = fail(model_at(server), openai.APIConnectionError)
    assert (seen, len(server.requests)) == (["Hello", " there"], 1)
    assert server.base_url in message


def test_a_stream_that_falls_silent_is_left_after_the_timeout(server: ChatServer) -> None:
    server.script = [Answer(stall_after=1)]
    seen, _ = fail(model_at(server, timeout_s=0.3), openai.APITimeoutError)
    assert (seen, len(server.requests)) == (["Hello"], 1)


def test_a_stream_without_an_end_is_no_finished_answer(server: ChatServer) -> None:
    server.script = [Answer(finish=None, done=False)]
    seen, message = fail(model_at(server), openai.APIConnectionError)
    assert "".join(seen) == "Hello there."
    assert "ended before the answer did" in message


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (f'data: {{"error": {{"message": "overloaded, {KEY}"}}}}\n\n', "overloaded, <the key>"),
        ('event: error\ndata: {"error": {"message": "boo"}}\n\n', "boo"),
        ("data: {bad\n\n", "no JSON"),
        ("data: [1]\n\n", "must be an object, got list"),
    ],
)
def test_an_error_inside_the_stream_raises(server: ChatServer, raw: str, says: str) -> None:
    server.script = [Answer(raw_after=raw)]
    seen, message = fail(model_at(server), openai.OpenAIError)
    assert "".join(seen) == "Hello there."
    assert says in message


def test_a_refused_key_is_reported_and_not_shown(server: ChatServer) -> None:
    server.usual = Status(401, f"Incorrect API key provided: {KEY}", error_code="invalid_api_key")
    _, message = fail(model_at(server), openai.AuthenticationError)
    assert message == f"Error code: 401 - Incorrect API key provided: <the key> (m at {server.base_url})"


def test_a_server_that_is_not_there_is_named() -> None:
    service = Service("http://127.0.0.1:9/v1", KEY, max_retries=0)
    _, message = fail(Model("m", service), openai.APIConnectionError)
    assert "m at http://127.0.0.1:9/v1" in message


REFUSALS = [
    ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model.", "max_tokens"),
    ("temperature", "Unsupported value: 'temperature' does not support 0.2 with this model.", "temperature"),
    (
        "stream_options",
        "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'not permitted'}]",
        None,
    ),
]
IN_OTHER_WORDS = [  # Kimi's, Claude's twice, and what FastAPI's "Invalid parameter" is about
    "invalid temperature: only 1 is allowed for this model",
    "`temperature` is deprecated for this model.",
    "`temperature` may only be set to 1 when thinking is enabled",
    "Invalid parameter: temperature",
]


@pytest.mark.parametrize("message", IN_OTHER_WORDS)
def test_a_temperature_is_left_out_in_whatever_words_it_is_refused(server: ChatServer, message: str) -> None:
    server.usual = lambda body: Status(400, message) if "temperature" in body else Answer()
    assert "".join(read(model_at(server))) == "Hello there."


@pytest.mark.parametrize("only", ["max_tokens", "max_completion_tokens"])
def test_a_limit_is_sent_under_the_name_that_the_service_knows(server: ChatServer, only: str) -> None:
    other = {"max_tokens": "max_completion_tokens"}.get(only, "max_tokens")
    server.usual = lambda body: Status(422, f"{other}: Extra inputs are not permitted") if other in body else Answer()
    assert asyncio.run(complete_text(model_at(server), QUESTION, {other: 9}))[0] == "Hello there."
    assert server.requests[-1].body[only] == 9


def test_a_service_that_knows_neither_name_of_the_limit_is_asked_twice(server: ChatServer) -> None:
    server.usual = lambda body: Status(400, f"Unsupported parameter: {next(name for name in body if 'tokens' in name)}")
    fail(model_at(server), openai.BadRequestError)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("top_p", "`temperature` and `top_p` cannot both be specified for this model."),
        ("presence_penalty", "Model grok-4 does not support parameter presencePenalty."),
    ],
)
def test_other_parameters_of_a_prompt_are_left_out_too(server: ChatServer, name: str, message: str) -> None:
    server.usual = lambda body: Status(400, message) if name in body and "temperature" in body else Answer()
    parameters = {"temperature": 0.2, name: 0.5}
    assert asyncio.run(complete_text(model_at(server), QUESTION, parameters))[0] == "Hello there."


@pytest.mark.parametrize(("parameter", "message", "named"), REFUSALS)
def test_a_refused_parameter_is_renamed_or_left_out_once_and_for_all(
    server: ChatServer, parameter: str, message: str, named: str | None
) -> None:
    model = model_at(server, name=f"without-{parameter}")
    server.script = [Status(400, message, named)]
    assert ["".join(pieces) for pieces in read_each(model, [None, None])] == ["Hello there."] * 2
    first, *later = [request.body for request in server.requests]
    assert parameter in first
    assert [parameter in body for body in later] == [False, False]
    assert [body.get("max_completion_tokens") for body in later] == [9 if parameter == "max_tokens" else None] * 2


def test_several_refused_parameters_are_learned_one_after_the_other(server: ChatServer) -> None:
    server.script = [Status(400, message, named) for _, message, named in REFUSALS]
    assert "".join(read(model_at(server, name="gpt-5"))) == "Hello there."
    assert set(server.requests[-1].body) == {"model", "messages", "stream", "max_completion_tokens"}


@pytest.mark.parametrize(
    "refusal",
    [
        Status(400, "max_tokens is too large: 9000. This model supports at most 4096 tokens.", "max_tokens"),
        Status(400, "This model's maximum context length is 8192 tokens.", "messages", "context_length_exceeded"),
        Status(400, "Unknown parameter: 'colour'.", "colour", "unknown_parameter"),
        Status(404, "The model does not exist: temperature not supported"),
    ],
    ids=lambda refusal: refusal.message[:24],
)
def test_any_other_refusal_is_reported_as_it_is(server: ChatServer, refusal: Status) -> None:
    server.usual = refusal
    _, message = fail(model_at(server, name="strict"), openai.APIStatusError)
    assert refusal.message in message
    assert len(server.requests) == 1


async def first_piece(answer: AsyncGenerator[str, None]) -> None:
    async with aclosing(answer):
        async for _ in answer:
            break


async def timed_out(answer: AsyncGenerator[str, None]) -> None:
    async def read_all() -> None:
        async with aclosing(answer):
            async for _ in answer:
                pass

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(read_all(), 0.3)


async def cancelled(answer: AsyncGenerator[str, None]) -> None:
    started = asyncio.Event()

    async def read_all() -> None:
        async for _ in answer:
            started.set()

    reading = asyncio.create_task(read_all())
    await started.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize("leave", [first_piece, timed_out, cancelled])
def test_leaving_early_closes_the_connection(server: ChatServer, leave) -> None:  # type: ignore[no-untyped-def]
    server.usual = Answer(deltas=["word "] * 2000, gap_s=0.01)
    left_s: list[float] = []

    async def main() -> None:
        await leave(ask(model_at(server)))
        left_s.append(time.monotonic())
        assert await asyncio.to_thread(server.left.wait, 5)

    asyncio.run(main())
    seen = server.requests[0].left_s
    assert seen is not None
    assert seen - left_s[0] < 1  # 1 ms here; the bound leaves room for a busy machine


def test_nothing_is_sent_before_the_first_step(server: ChatServer) -> None:
    async def main() -> None:
        answer = ask(model_at(server))
        await asyncio.sleep(0)
        await answer.aclose()

    asyncio.run(main())
    assert server.requests == []
