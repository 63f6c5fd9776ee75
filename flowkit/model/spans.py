"""What the span of one request tells: by OpenTelemetry's GenAI conventions, and for promptflow's trace page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import Span

from flowkit.base import genai, tracing
from flowkit.base.json_text import JsonObject
from flowkit.model.configuration import Model, Service
from flowkit.model.reply import Reply
from flowkit.model.route import OPENAI, port_of
from flowkit.prompt.history import Message

PARAMETERS = {
    "max_tokens": genai.REQUEST_MAX_TOKENS,
    "max_completion_tokens": genai.REQUEST_MAX_TOKENS,
    "temperature": genai.REQUEST_TEMPERATURE,
    "top_p": genai.REQUEST_TOP_P,
    "seed": genai.REQUEST_SEED,
    "frequency_penalty": genai.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": genai.REQUEST_PRESENCE_PENALTY,
}


@contextmanager
def request_span(model: Model, request: JsonObject, parent: Span | None) -> Iterator[Span]:
    """Open the span of a request below `parent`, else below the current one, and end it however the block is left."""
    with tracing.span(f"chat {model.name}", "LLM", request, parent) as span:
        if span.is_recording():
            span.set_attribute("function", "openai_chat")  # as promptflow calls such a request
            span.set_attributes(_asked(model, request))
            if genai.captures_content():
                span.set_attribute(genai.INPUT_MESSAGES, json.dumps([_message(each) for each in request["messages"]]))
        yield span


def record_answer(span: Span, model: Model, text: str, reply: Reply) -> None:
    """Keep what the model said, as far as it came, and how it ended."""
    if not span.is_recording():
        return
    answerer, usage, reason = reply.model or model.name, reply.usage or {}, reply.finish_reason
    told = {
        genai.RESPONSE_ID: reply.id,
        genai.RESPONSE_MODEL: answerer,
        genai.FINISH_REASONS: [reason] if reason else None,
        genai.FIRST_CHUNK_S: reply.timing.first_chunk_s,
        genai.INPUT_TOKENS: usage.get("prompt_tokens"),
        genai.OUTPUT_TOKENS: usage.get("completion_tokens"),
        "llm.response.model": answerer,
    }
    span.set_attributes({name: value for name, value in told.items() if value is not None})
    said = {"role": "assistant", "content": text}
    if genai.captures_content():
        message = {**_message(said), "finish_reason": reason or "error"}
        span.set_attribute(genai.OUTPUT_MESSAGES, json.dumps([message]))
    tracing.record(span, "llm.generated_message", said, event="promptflow.llm.generated_message")
    tracing.record_output(span, text)
    tracing.record_usage(span, usage)


def _asked(model: Model, request: JsonObject) -> Mapping[str, Any]:
    """Return what is asked for, by whom, but no text."""
    provider, (host, port) = _provider(model.service), _server(model.service)
    stop = request.get("stop")
    asked = {
        genai.OPERATION: "chat",
        genai.PROVIDER: provider,
        genai.SYSTEM: provider,
        genai.REQUEST_MODEL: model.name,
        genai.REQUEST_STREAM: bool(request.get("stream")),
        genai.OUTPUT_TYPE: "json" if request.get("response_format") else "text",
        genai.REQUEST_STOP: [stop] if isinstance(stop, str) else stop,
        genai.SERVER_ADDRESS: host,
        genai.SERVER_PORT: port,
        **{ours: request.get(theirs) for theirs, ours in PARAMETERS.items() if request.get(theirs) is not None},
    }
    return {name: value for name, value in asked.items() if value is not None}


def _provider(service: Service) -> str:
    """Return who serves, by the API that it speaks: others than Azure speak OpenAI's."""
    return "azure.ai.openai" if service.api_version else "openai"


def _server(service: Service) -> tuple[str | None, int | None]:
    address = urlsplit(service.base_url or OPENAI)
    return address.hostname, port_of(address)


def _message(message: Message | Mapping[str, str]) -> JsonObject:
    return {"role": message["role"], "parts": [{"type": "text", "content": message["content"]}]}
