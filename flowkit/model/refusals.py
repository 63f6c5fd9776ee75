"""What a service refused for a model, and how to ask it instead."""

from __future__ import annotations

import re
from typing import Any

import openai

from flowkit.model.configuration import Model

# What an answer can be asked for without; None: left out, a name: asked for under that name.
INSTEAD: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",  # the o-series and gpt-5 know only the second
    "temperature": None,
    "stream_options": None,
}
REFUSAL = re.compile(
    r"unsupported|(not|n't) support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed", re.IGNORECASE
)
# A response_format is refused by its type, in words that name either; None: left out.
FORMATS: dict[str, dict[str, str] | None] = {"json_schema": {"type": "json_object"}, "json_object": None}
FORMAT_NAMED = re.compile("response.format|json_schema|json_object")
_refused: dict[tuple[str | None, ...], set[str]] = {}


def adapted(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """Return `request` without what the model is known to refuse."""
    refused = _refused.get(_key(model))
    if not refused:
        return request
    for kind, instead in FORMATS.items():
        if kind in refused and format_of(request) == kind:
            request = {**request, "response_format": instead}
    renamed = {(INSTEAD.get(name) if name in refused else name): value for name, value in request.items()}
    return {name: value for name, value in renamed.items() if name is not None and value is not None}


def format_of(request: dict[str, Any]) -> str:
    """Return the type of the request's response_format, "" where it has none."""
    return str((request.get("response_format") or {}).get("type", ""))


def learn(model: Model, sent: dict[str, Any], error: openai.APIStatusError) -> bool:
    """Remember what `error` refuses by name, and return whether asking again can help.

    A bad value ("max_tokens is too large") is the caller's to mend: only what the service does not take at all counts.
    Not so a response_format: in whatever words it is refused, there is a next one to ask for.
    """
    if error.status_code not in (400, 422):
        return False
    told, refused = str(error.param or error.message), list[str]()
    if FORMAT_NAMED.search(told):
        refused = [kind for kind in FORMATS if kind == format_of(sent)]
    elif REFUSAL.search(f"{error.code} {error.message}"):
        refused = [name for name in INSTEAD if name in sent and re.search(rf"\b{name}\b", told)]
    _refused.setdefault(_key(model), set()).update(refused[:1])
    return bool(refused)


def _key(model: Model) -> tuple[str | None, ...]:
    """Return what a refusal depends on: neither the key nor our patience."""
    return model.service.base_url, model.service.api_version, model.name
