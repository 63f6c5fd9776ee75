"""Which parameters a service refused for a model, and how to ask it instead."""

from __future__ import annotations

import re
from typing import Any

import openai

from flowkit.model import Model

# What an answer can be asked for without; None: left out, a name: asked for under that name.
INSTEAD: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",  # the o-series and gpt-5 know only the second
    "temperature": None,
    "stream_options": None,
    "response_format": None,
}
REFUSAL = re.compile(
    r"unsupported|(not|n't) support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed", re.IGNORECASE
)
_refused: dict[Model, set[str]] = {}


def adapted(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    """Return `request` without what the model is known to refuse."""
    refused = _refused.get(model)
    if not refused:
        return request
    renamed = {(INSTEAD[name] if name in refused else name): value for name, value in request.items()}
    return {name: value for name, value in renamed.items() if name is not None}


def is_refused(model: Model, parameter: str) -> bool:
    """Say whether the model refused `parameter` earlier in this process."""
    return parameter in _refused.get(model, ())


def learn(model: Model, sent: dict[str, Any], error: openai.APIStatusError) -> bool:
    """Remember the parameter that `error` refuses by name, and return whether asking again can help.

    A bad value ("max_tokens is too large") is the caller's to mend: only what the service does not take at all counts.
    """
    if error.status_code not in (400, 422) or not REFUSAL.search(f"{error.code} {error.message}"):
        return False
    refused = _named_in(error)
    if refused not in sent:
        return False
    _refused.setdefault(model, set()).add(refused)
    return True


def _named_in(error: openai.APIStatusError) -> str:
    """Return the parameter named by the error's own field, else by its message."""
    if error.param:
        return error.param.split(".")[0] if error.param.split(".")[0] in INSTEAD else ""
    return next((name for name in INSTEAD if re.search(rf"\b{name}\b", error.message)), "")
