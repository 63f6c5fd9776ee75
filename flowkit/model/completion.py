"""One request to a model: its text as it is written, or whole."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
from openai import AsyncOpenAI, AsyncStream
from opentelemetry.trace import Span

from flowkit.base import tracing
from flowkit.base.start_gate import in_turn
from flowkit.model import refusals
from flowkit.model.client import shared_client
from flowkit.model.configuration import Model
from flowkit.model.pace import Place
from flowkit.model.timing import Timing
from flowkit.prompt.history import Message

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout

log = logging.getLogger(__name__)
PATH = "/chat/completions"


@dataclass
class Reply:
    """How an answer ended, filled in while it is read.

    finish_reason: "stop" for a finished answer, "length" or "content_filter" for one that was cut; None until then.
    usage: tokens as the service counted them, empty where it does not say.
    format: what the service was asked for, "json_schema" or "json_object" as far as it takes them; "" for plain text.
    messages: what was sent. dropped: how many messages of the history were not, the oldest.
    """

    finish_reason: str | None = None
    usage: dict[str, int] | None = None
    format: str = ""
    messages: list[Message] = field(default_factory=list)
    dropped: int = 0
    timing: Timing = field(default_factory=Timing)


async def stream_text(
    model: Model,
    messages: list[Message],
    parameters: dict[str, Any],
    reply: Reply | None = None,
    parent: Span | None = None,
) -> AsyncGenerator[str, None]:
    """Yield the answer as non-empty pieces of text; joined in order they are the whole answer.

    Nothing is sent before the first step. Opening the stream is retried within the service's limits; a stream that
    breaks off raises `openai.APIError` after the text already given and is never retried: the reader has seen it.
    Closing the generator (`aclose`, or `contextlib.aclosing`) closes the connection.
    reply: is told how the answer ended; parent: the span to trace below.
    """
    reply = reply if reply is not None else Reply()
    reply.messages, reply.timing = messages, Timing()
    request = {**parameters, "model": model.name, "messages": messages}
    request |= {"stream": True, "stream_options": {"include_usage": True}}
    with tracing.span("openai_chat", "LLM", request, parent) as span, _causes_named(model):
        heard: list[str] | None = [] if span.is_recording() else None  # untraced, a long answer takes no memory
        client, pace = await shared_client(model.service)
        try:
            async with (
                pace.turn() as place,
                await _send(client, place, model, request, reply, stream=True, stream_cls=AsyncStream[Any]) as chunks,
            ):
                async for chunk in chunks:
                    if piece := _take(chunk, reply):
                        reply.timing.chunk()
                        if heard is not None:
                            heard.append(piece)
                        yield piece
            if reply.finish_reason is None:
                raise openai.APIConnectionError(
                    message="the stream ended before the answer did", request=chunks.response.request
                )
        finally:
            reply.timing.end()
            _trace_answer(span, model, "".join(heard or ()), reply)
    _warn_if_cut(model, reply)


async def complete_text(
    model: Model, messages: list[Message], parameters: dict[str, Any], parent: Span | None = None
) -> tuple[str, Reply]:
    """Return the whole answer and how it ended. Raises `openai.APIError` once the service's limits are spent."""
    request = {**parameters, "model": model.name, "messages": messages, "stream": False}
    reply = Reply()
    with tracing.span("openai_chat", "LLM", request, parent) as span, _causes_named(model):
        client, pace = await shared_client(model.service)
        async with pace.turn() as place:
            answer = await _send(client, place, model, request, reply)
        try:
            choice = answer["choices"][0]
            text = choice["message"].get("content") or choice["message"].get("refusal") or ""
            text = text.encode("utf-8", "replace").decode()  # half an emoji could be neither written nor sent back
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError(f"{model.name}: the service's reply is no chat completion") from None
        reply.finish_reason, reply.usage = choice.get("finish_reason"), _counts(answer.get("usage"))
        _trace_answer(span, model, text, reply)
    return text, reply


async def _send(
    client: AsyncOpenAI, place: Place, model: Model, request: dict[str, Any], reply: Reply, **how: Any
) -> Any:
    """Post `request` and return the reply, plain JSON; ask again without a parameter that the service refuses by name.

    Plain JSON takes a third of the time of openai's response models. `chat.completions.create` would do the same,
    but promptflow replaces it by one whose span never ends when a stream is left or fails.
    """
    await in_turn()
    reply.timing.turn()

    async def post() -> Any:
        async with timeout(model.service.give_up_after_s):
            return await client.post(PATH, body=sent, cast_to=object, **how)

    while True:
        sent = refusals.adapted(model, request)
        reply.format = refusals.format_of(sent)
        try:
            return await place.ask(post)
        except openai.APIStatusError as error:
            if not refusals.learn(model, sent, error):
                raise
            log.info("%s refuses a parameter, asking without it: %s", model.name, error.message)


def _take(chunk: Any, reply: Reply) -> str:
    """Return the chunk's text, and note in `reply` how the answer ends."""
    if not isinstance(chunk, dict):
        raise openai.OpenAIError(f"a chunk of the stream must be an object, got {type(chunk).__name__}")
    if usage := chunk.get("usage"):
        reply.usage = _counts(usage)
    if not (choices := chunk.get("choices")):
        return ""
    reply.finish_reason = choices[0].get("finish_reason") or reply.finish_reason
    return (choices[0].get("delta") or {}).get("content") or ""


def _counts(usage: Any) -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: usage[name] for name in names if isinstance(usage, dict) and isinstance(usage.get(name), int)}


def _trace_answer(span: Span, model: Model, text: str, reply: Reply) -> None:
    if span.is_recording():
        span.set_attribute("llm.response.model", model.name)
        tracing.record(
            span,
            "llm.generated_message",
            {"role": "assistant", "content": text},
            event="promptflow.llm.generated_message",
        )
        tracing.record_output(span, text)
        tracing.record_usage(span, reply.usage or {})


def _warn_if_cut(model: Model, reply: Reply) -> None:
    if reply.finish_reason in ("length", "content_filter"):
        log.warning("%s did not finish this answer: %s", model.name, reply.finish_reason)


@contextmanager
def _causes_named(model: Model) -> Iterator[None]:
    """Let an error say what happened where, and never the key, which services like to repeat."""
    try:
        yield
    except asyncio.TimeoutError as error:
        limit = f"{model.service.give_up_after_s:g} s, retries included"
        raise TimeoutError(
            f"{model.name} at {model.service.base_url} did not begin to answer within {limit}"
        ) from error
    except json.JSONDecodeError as error:
        raise openai.OpenAIError(f"{model.name} at {model.service.base_url} sent what is no JSON: {error}") from error
    except openai.APIError as error:
        text = str(error)
        if isinstance(error, openai.APIConnectionError):
            text = f"{text} {model.name} at {model.service.base_url}: {error.__cause__ or 'no cause given'}"
        error.message = text.replace(model.service.api_key, "<the key>") if len(model.service.api_key) > 7 else text
        error.args = (error.message,)
        raise
