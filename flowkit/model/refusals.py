"""What a service refused for a model, and how to ask it instead."""

from __future__ import annotations

import asyncio
import re
from weakref import WeakKeyDictionary

import openai

from flowkit.base.json_text import JsonObject
from flowkit.base.text import clean
from flowkit.model.configuration import Model
from flowkit.model.errors import body_of
from flowkit.model.words import said
from flowkit.prompt.history import Message

# What an answer can be asked for without; None: left out, a name: asked for under that name.
INSTEAD: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",  # the o-series and gpt-5 know only the second
    "max_completion_tokens": "max_tokens",  # Mistral and former versions of vLLM know only the first
    "temperature": None,
    "top_p": None,
    "presence_penalty": None,
    "frequency_penalty": None,
    "stream_options": None,
}
PENALTY = "_penalty"  # which Gemini calls by no other name

REFUSAL = re.compile(
    r"unsupported|(not|n't) support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|forbidden"
    r"|cannot find field|not implemented|not a? ?valid (parameter|field|argument|property)|deprecated"
    r"|invalid (parameter|field|argument)|strictly positive|only \S+ is (allowed|supported)|may only be|cannot both be"
    r"|not enabled",
    re.IGNORECASE,
)
SYSTEM = "the role system"  # Gemma's, Mistral's first and o1-mini's templates have none
_SYSTEM = r"(system role|role\W+system|'system' with this model|system messages?)"
SYSTEM_NAMED = re.compile(
    rf"{_SYSTEM}.{{0,80}}(support|not|n't)|(support|not|n't).{{0,80}}{_SYSTEM}"
    r"|developer instruction is not enabled|only user and assistant roles|roles must alternate",
    re.IGNORECASE,
)
STREAM = "a stream"  # OpenAI's newest models give it to verified organizations only
STREAM_REFUSED = re.compile(
    r"'?stream'? does not support true|stream(ing)? (is )?(not|un)[- ]?(yet )?supported|(not|n't) support stream",
    re.IGNORECASE,
)
# A response_format is refused by its type, in words that name either; None: left out.
FORMATS: dict[str, dict[str, str] | None] = {"json_schema": {"type": "json_object"}, "json_object": None}
# Its names: OpenAI's, Gemini's (generation_config, response_schema, response_mime_type), vLLM's (guided, grammar),
# Anthropic's (output_config).
FORMAT_NAMED = re.compile(
    r"response.?(format|schema|mime.?type)|json.?(schema|object|mode|output)|structured.?(output|generation|decoding)"
    r"|generation.?config|guided|grammar|constrained.decoding|output.?(format|config)",
    re.IGNORECASE,
)
TOO_LONG = re.compile(r"context[_ ]length|maximum context", re.IGNORECASE)
NOT_ABOUT_A_FORMAT = (401, 402, 404, 408, 429)
WHOLE = "a whole reply"  # the service says nothing for too long unless it is asked for a stream, or refuses at once
STREAM_ONLY = re.compile(  # DashScope, ModelScope, Codex
    r"only supports? stream|non-streaming|stream=false|stream\W+(must|has to) be (set to )?true|must have stream=true",
    re.IGNORECASE,
)
TOO_LONG_FOR_A_WHOLE = (408, 504, 524)

# By event loop, as the clients are: it goes with the loop.
_refused: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str | None, ...], set[str]]] = WeakKeyDictionary()


def refused_by(model: Model) -> set[str]:
    """Return what is known on this event loop to be refused for the model, to be added to.

    It depends on neither the key nor our patience, so every flow that asks the same model shares it.
    """
    known = _refused.setdefault(asyncio.get_running_loop(), {})
    return known.setdefault((model.service.base_url, model.service.api_version, model.name), set())


def adapted(refused: set[str], request: JsonObject) -> JsonObject:
    """Return `request` without what is refused."""
    if not refused:
        return request
    for kind, instead in FORMATS.items():
        if kind in refused and format_of(request) == kind:
            request = {**request, "response_format": instead}
    if SYSTEM in refused:
        request = {**request, "messages": _without_system(request["messages"])}
    if STREAM in refused and request.get("stream"):
        request = {**request, "stream": False, "stream_options": None}
    renamed = {(INSTEAD.get(name) if name in refused else name): value for name, value in request.items()}
    return {name: value for name, value in renamed.items() if name is not None and value is not None}


def _without_system(messages: list[Message]) -> list[Message]:
    """Return the messages with what the system says before the first message of the user."""
    system = [message for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if not rest or rest[0]["role"] != "user":
        rest.insert(0, {"role": "user", "content": ""})
    said = [str(message["content"]) for message in (*system, rest[0])]
    return [{**rest[0], "content": "\n\n".join(filter(None, said))}, *rest[1:]]


def format_of(request: JsonObject) -> str:
    """Return the type of the request's response_format, "" where it has none."""
    return str((request.get("response_format") or {}).get("type", ""))


def learn(refused: set[str], model: Model, sent: JsonObject, error: openai.APIError) -> bool:
    """Add to `refused` what `error` refuses by name, and return whether asking again can help.

    A bad value ("max_tokens is too large") is the caller's to mend: only what the service does not take at all counts.
    Not so a response_format: in whatever words it is refused, there is a next one to ask for.
    """
    if unreadable_reply(error) is not None:
        return False
    status = error.status_code if isinstance(error, openai.APIStatusError) else 400
    words = said(body_of(error), model.service)
    found = list[str]()
    # A 404 may name the model "json_object"; OpenRouter's says that no endpoint supports the format.
    may_be_format = status not in NOT_ABOUT_A_FORMAT or (status == 404 and "support" in words)
    may_be_format &= not TOO_LONG.search(f"{error.code} {words}")  # OpenAI's names how long the format is
    if format_of(sent) in FORMATS and may_be_format and FORMAT_NAMED.search(f"{error.param} {words}"):
        found = [format_of(sent)]
    elif (status in (400, 422) or "unexpected keyword" in words) and REFUSAL.search(f"{error.code} {words}"):
        found = [
            name for name in INSTEAD if name in sent and INSTEAD[name] not in refused and _names(error, words, name)
        ]
    has_system = any(message["role"] == "system" for message in sent.get("messages", ()))
    if not found and status in (400, 422, 500) and has_system and SYSTEM not in refused and SYSTEM_NAMED.search(words):
        found = [SYSTEM]  # llama.cpp's templates end in a 500
    by_name = error.param == "stream" and error.code == "unsupported_value"
    if not found and sent.get("stream") and (by_name or (status in (400, 422) and STREAM_REFUSED.search(words))):
        found = [STREAM]
    refused.update(found[:1])
    return bool(found)


def _names(error: openai.APIError, words: str, parameter: str) -> bool:
    """Say whether the error names the parameter, in Python's way or, as Grok does, in JavaScript's."""
    named = words if error.param in (None, "", "None", "null") else str(error.param)  # LiteLLM writes "None"
    names = parameter.replace("_", "_?") + (f"|{PENALTY[1:]}" if parameter.endswith(PENALTY) else "")
    return bool(re.search(rf"\b({names})\b", named, re.IGNORECASE))


def wants_a_stream(error: openai.APIStatusError, model: Model) -> bool:
    """Say whether a whole reply was refused, or took longer than a server in between waits, and a stream can help."""
    if error.status_code in TOO_LONG_FOR_A_WHOLE:
        return True
    return error.status_code == 400 and STREAM_ONLY.search(said(body_of(error), model.service)) is not None


def unreadable_reply(error: openai.APIError) -> tuple[str, bool] | None:
    """Return what the model wrote where the service says that it is not the JSON asked for, and whether it was cut.

    None for every other error. Groq reads the reply itself: {"error": {"code": "json_validate_failed",
    "failed_generation": "..."}}, with status 400.
    """
    body = error.body if isinstance(error.body, dict) else {}
    body = body["error"] if isinstance(body.get("error"), dict) else body
    message = str(body.get("message") or "")
    if body.get("code") != "json_validate_failed" and not message.startswith("Failed to generate JSON"):
        return None
    text = body.get("failed_generation")
    return clean(text) if isinstance(text, str) else "", "max completion tokens" in message
