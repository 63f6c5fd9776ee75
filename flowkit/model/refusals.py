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

# What an answer can be asked for without; None: left out, a name: asked for under that name.
INSTEAD: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",  # the o-series and gpt-5 know only the second
    "temperature": None,
    "stream_options": None,
}
REFUSAL = re.compile(
    r"unsupported|(not|n't) support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|forbidden"
    r"|cannot find field|not implemented|not a? ?valid (parameter|field|argument|property)",
    re.IGNORECASE,
)
# A response_format is refused by its type, in words that name either; None: left out.
FORMATS: dict[str, dict[str, str] | None] = {"json_schema": {"type": "json_object"}, "json_object": None}
# Its names: OpenAI's, Gemini's (generation_config, response_schema, response_mime_type), vLLM's (guided, grammar).
FORMAT_NAMED = re.compile(
    r"response.?(format|schema|mime.?type)|json.?(schema|object|mode)|structured.?(output|generation|decoding)"
    r"|generation.?config|guided|grammar|constrained.decoding|output.?format",
    re.IGNORECASE,
)
NOT_ABOUT_A_FORMAT = (401, 402, 404, 408, 429)
WHOLE = "a whole reply"  # the service says nothing for too long unless it is asked for a stream

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
    renamed = {(INSTEAD.get(name) if name in refused else name): value for name, value in request.items()}
    return {name: value for name, value in renamed.items() if name is not None and value is not None}


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
    if format_of(sent) in FORMATS and may_be_format and FORMAT_NAMED.search(f"{error.param} {words}"):
        found = [format_of(sent)]
    elif status in (400, 422) and REFUSAL.search(f"{error.code} {words}"):
        told = str(error.param or words)
        found = [name for name in INSTEAD if name in sent and re.search(rf"\b{name}\b", told)]
    refused.update(found[:1])
    return bool(found)


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
