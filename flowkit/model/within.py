"""A refusal that a service tells within a reply of status 200, as the error that its own status would have made.

Or a reply of that status with nothing in it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

import httpx2
import openai

from flowkit.model.waits import may_ask_again, told_in_words_s

NAMES = ("code", "status_code", "status", "type")  # OpenRouter and LiteLLM; MiniMax; Gemini; Anthropic
TOO_MANY = re.compile(r"rate.?limit|throttl|too.?many.?requests|resource.?exhausted", re.IGNORECASE)
OUT_OF_ORDER = re.compile(r"overloaded|unavailable|(server|internal).?error|gateway", re.IGNORECASE)
# MiniMax's numbers, and Zhipu's from 1302 on.
NUMBERS = {**dict.fromkeys((1002, 1039, 1041, 1302, 1303, 1305), 429), **dict.fromkeys((1001, 1024, 1033), 503)}


class NothingCameError(openai.APIConnectionError):
    """A response of status 200 that ended before anything was in it: asking again may help, and costs nothing twice."""


def as_refused(error: openai.APIError) -> openai.APIError:
    """Return a `RateLimitError` or `InternalServerError` where the error's body tells of one, else `error` itself."""
    status = _status_of(error.body)
    if status != 429 and not 500 <= status < 600:
        return error
    content = json.dumps({"error": error.body}).encode()
    wait_s = told_in_words_s(content)
    headers = {} if wait_s is None else {"retry-after": f"{wait_s:g}"}
    marked = {"within": True}
    response = httpx2.Response(status, request=error.request, headers=headers, content=content, extensions=marked)
    kind = openai.RateLimitError if status == 429 else openai.InternalServerError
    return kind(error.message, response=response, body=error.body)


def is_for_now(error: openai.APIError, patience_s: float) -> bool:
    """Say whether asking again may help, and openai's client has not done so: it took the reply for an answer."""
    if isinstance(error, openai.APIStatusError):
        return "within" in error.response.extensions and may_ask_again(error, patience_s)
    return isinstance(error, NothingCameError)


def _status_of(body: object) -> int:
    """Return the HTTP status that the body of an error names, 0 where it names none."""
    if isinstance(body, str):
        with suppress(ValueError, RecursionError):
            body = json.loads(body)
    if not isinstance(body, dict):
        return 0
    for inner in ("error", "base_resp"):
        if isinstance(body.get(inner), dict):
            return _status_of(body[inner])
    named = [str(body[name]) for name in NAMES if body.get(name)]
    if number := next((int(name) for name in named if re.fullmatch(r"\d{3,4}", name)), 0):
        return NUMBERS.get(number, number)
    if any(map(TOO_MANY.search, named)):
        return 429
    return 503 if any(map(OUT_OF_ORDER.search, named)) else 0
