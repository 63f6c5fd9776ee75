"""One request to a model: its text as it is written, or whole."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream
from opentelemetry.trace import Span

from flowkit.base.json_text import JsonObject
from flowkit.model import refusals
from flowkit.model.causes import BROKEN, causes_named, is_silence
from flowkit.model.chunks import ReplyReader
from flowkit.model.client import shared_client
from flowkit.model.configuration import Model
from flowkit.model.pace import Place
from flowkit.model.reply import Reply
from flowkit.model.spans import record_answer, request_span
from flowkit.model.timing import Timing
from flowkit.model.waits import again_after_s
from flowkit.model.within import is_for_now
from flowkit.prompt.history import Message

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

__all__ = ["Reply", "complete_text", "stream_text"]
T = TypeVar("T")
log = logging.getLogger(__name__)
PATH = "/chat/completions"
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
FAREWELL_S = 5.0  # how long the token counts may take to come after the answer's end
DRAIN_S = 0.1  # for what comes after [DONE], mostly nothing; read to its end, the connection can be used again


async def stream_text(
    model: Model,
    messages: list[Message],
    parameters: JsonObject,
    reply: Reply | None = None,
    parent: Span | None = None,
) -> AsyncGenerator[str, None]:
    """Yield the answer as non-empty pieces of text; joined in order they are the whole answer.

    Nothing is sent before the first step. Opening the stream is retried within the service's limits; a stream that
    breaks off raises `openai.APIError` after the text already given and is never retried: the reader has seen it. So
    does an answer that the service gives up. What breaks after the answer's end costs nothing.
    Closing the generator (`aclose`, or `contextlib.aclosing`) closes the connection.
    Each piece can be encoded as UTF-8. A refusal to answer is text like an answer, and `reply.refused` says so.
    reply: is told how the answer ended; parent: the span to trace below.
    """
    reply = reply if reply is not None else Reply()
    reply.messages, reply.timing = messages, Timing()
    request = {**parameters, "model": model.name, "messages": messages, **STREAMED}
    with request_span(model, request, parent) as span, causes_named(model):
        heard: list[str] | None = [] if span.is_recording() else None  # untraced, a long answer takes no memory
        client, pace = await shared_client(model.service)
        try:
            async with pace.turn() as place, aclosing(await _begun(client, place, model, request, reply)) as pieces:
                async for piece in pieces:
                    reply.timing.chunk()
                    if heard is not None:
                        heard.append(piece)
                    yield piece
        finally:
            reply.timing.end()
            record_answer(span, model, "".join(heard or ()), reply)
    _warn_if_cut(model, reply)


async def complete_text(
    model: Model, messages: list[Message], parameters: JsonObject, parent: Span | None = None
) -> tuple[str, Reply]:
    """Return the whole answer and how it ended. Raises `openai.APIError` once the service's limits are spent.

    A service that says nothing for `timeout_s` because the answer is long, or that gives no whole replies, is asked for
    a stream, now and from then on: patience is about silence and not about length. A reply that the service withholds
    because it is not the JSON asked for is returned as the text that it is.
    """
    request = {**parameters, "model": model.name, "messages": messages, "stream": False}
    reply = Reply()
    with request_span(model, request, parent) as span, causes_named(model):
        client, pace = await shared_client(model.service)
        async with pace.turn() as place:
            try:
                text = await _whole(client, place, model, request, reply)
            except openai.APIError as error:
                if (unreadable := refusals.unreadable_reply(error)) is None:
                    raise
                text, was_cut = unreadable
                reply.finish_reason = "length" if was_cut else "stop"
        record_answer(span, model, text, reply)
    return text, reply


async def _whole(client: AsyncOpenAI, place: Place, model: Model, request: JsonObject, reply: Reply) -> str:
    """Return the whole answer: from a whole reply or, where none comes in time, from a stream."""

    async def read(response: httpx2.Response) -> str:
        reader = ReplyReader(reply, response.request)
        return "".join([*reader.feed(response.content), *reader.end()])

    refused = refusals.refused_by(model)
    if refusals.WHOLE not in refused:
        try:
            return await _send(client, place, model, request, reply, read)
        except (openai.APITimeoutError, asyncio.TimeoutError) as error:
            if not is_silence(error):
                raise
        except openai.APIStatusError as error:
            if not refusals.wants_a_stream(error, model):
                raise
        log.info("%s gives no whole reply, or takes long for one: asking for a stream", model.name)
    async with aclosing(await _begun(client, place, model, {**request, **STREAMED}, reply)) as pieces:
        text = "".join([piece async for piece in pieces])
    refused.add(refusals.WHOLE)
    return text


async def _begun(
    client: AsyncOpenAI, place: Place, model: Model, request: JsonObject, reply: Reply
) -> AsyncGenerator[str, None]:
    """Return the pieces of an answer that the service has begun; what it refuses at status 200 is asked for again."""

    async def begin(response: httpx2.Response) -> AsyncGenerator[str, None]:
        pieces = _pieces(response, reply, min(FAREWELL_S, model.service.timeout_s))
        await anext(pieces)
        return pieces

    return await _send(client, place, model, request, reply, begin, stream=True, stream_cls=AsyncStream[Any])


async def _pieces(response: httpx2.Response, reply: Reply, farewell_s: float) -> AsyncGenerator[str, None]:
    """Yield "" once the service has begun to answer, and then the answer's pieces as they come.

    farewell_s: how long what comes after the answer's end may take.
    """
    async with aclosing(response):
        reader, received = ReplyReader(reply, response.request), _bytes_of(response)
        chunks, until_s = 0, None
        while not reader.done:
            try:
                sent = await _next(received, until_s)
            except (*BROKEN, asyncio.TimeoutError):
                if reply.finish_reason is None:
                    raise
                break
            if sent is None:
                break
            for piece in reader.feed(sent):
                yield piece
            has_ended = reader.has_streamed and reply.finish_reason not in (None, "tool_calls")
            if has_ended and reader.chunks != chunks:
                chunks, until_s = reader.chunks, time.monotonic() + farewell_s
        if reader.done:
            await _drain(received)
        for piece in reader.end():
            yield piece


def _bytes_of(response: httpx2.Response) -> AsyncIterator[bytes]:
    """Return the bytes as they come; what is not packed goes past the three readers of httpx2, each a step a chunk."""
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx2.AsyncByteStream):
        return response.aiter_bytes()
    return aiter(response.stream)


async def _next(received: AsyncIterator[bytes], until_s: float | None) -> bytes | None:
    """Return the next bytes, None at the end; past `until_s` (time.monotonic) raise TimeoutError."""
    if until_s is None:
        return await anext(received, None)
    async with timeout(until_s - time.monotonic()):
        return await anext(received, None)


async def _drain(received: AsyncIterator[bytes]) -> None:
    with suppress(asyncio.TimeoutError, *BROKEN):
        async with timeout(DRAIN_S):
            async for _ in received:
                pass


async def _send(
    client: AsyncOpenAI,
    place: Place,
    model: Model,
    request: JsonObject,
    reply: Reply,
    read: Callable[[httpx2.Response], Awaitable[T]],
    **how: Any,
) -> T:
    """Post `request` and `read` the response; ask again without a parameter that the service refuses by name.

    What it refuses for now at status 200 is asked for as often as openai's client asks for what has another status; so
    is a reply of that status without anything in it.

    The response's own bytes are read: openai's response models take three times as long, and its reader of streams
    takes a keep-alive for a broken chunk. `chat.completions.create` would do the same, but promptflow replaces it by
    one whose span never ends when a stream is left or fails.
    """
    await place.start()
    reply.timing.turn()
    refused, again, patience_s = refusals.refused_by(model), 0, model.service.give_up_after_s

    async def post() -> T:
        async with timeout(patience_s):
            response = await client.post(PATH, body=sent, cast_to=httpx2.Response, **how)
        return await read(response)

    while True:
        sent = refusals.adapted(refused, request)
        reply.format = refusals.format_of(sent)
        try:
            return await place.ask(post)
        except openai.APIError as error:
            if again < model.service.max_retries and is_for_now(error, patience_s):
                await asyncio.sleep(again_after_s(error, again))
                again += 1
                continue
            if isinstance(error, openai.APIConnectionError) or not refusals.learn(refused, model, sent, error):
                raise
            log.info("%s refuses a parameter, asking without it", model.name)


def _warn_if_cut(model: Model, reply: Reply) -> None:
    if reply.finish_reason in ("length", "content_filter"):
        log.warning("%s did not finish this answer: %s", model.name, reply.finish_reason)
