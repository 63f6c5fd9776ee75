"""What a 429 says: how long to wait, or that waiting does not help."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import httpx2
import openai

from flowkit.model.errors import body_of, is_too_large, is_used_up, text_of

# "retryDelay": "36.6s" (Gemini), "try again in 1m26.4s", "in 20ms" (OpenAI, Groq), "retry after 6 seconds" (Azure).
A_TIME = r"(\d+(?:\.\d+)?) ?(ms|s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|ours?)?(?![a-z])"
IN_WORDS = re.compile(rf"(?:retrydelay\W+|(?:again|retry) (?:in|after) |please wait )((?:{A_TIME}\s*)+)", re.IGNORECASE)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0  # of a request that was refused without a Retry-After; doubled each time
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def retry_after_s(response: httpx2.Response) -> float | None:
    """Return the seconds that the service asks us to wait, None where it says nothing readable.

    Read are `retry-after-ms` (Azure's, milliseconds) and `retry-after` (seconds or an HTTP date), in this order.
    """
    try:
        return float(response.headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        pass
    told = response.headers.get("retry-after", "")
    try:
        return float(told)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(told).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


def told_in_words_s(body: bytes) -> float | None:
    """Return the seconds that the body of a 429 asks us to wait, None where it says nothing of it."""
    told = IN_WORDS.search(body.decode("utf-8", "replace"))
    if told is None:
        return None
    return sum(float(number) * UNITS_S[unit.lower()] for number, unit in re.findall(A_TIME, told[1], re.IGNORECASE))


def may_ask_again(error: openai.APIStatusError, patience_s: float) -> bool:
    """Say whether waiting can help: not for a used-up quota or too large a request, nor longer than `patience_s`."""
    told = f"{error.code or ''} {error.message} {text_of(body_of(error))}"
    if is_used_up(told) or is_too_large(told):
        return False
    wait_s = retry_after_s(error.response)
    return wait_s is None or wait_s <= patience_s


def again_after_s(error: openai.APIError, refused: int) -> float:
    """Return the seconds after which a request is sent again that was refused so often before."""
    told_s = retry_after_s(error.response) if isinstance(error, openai.APIStatusError) else None
    return min(FIRST_WAIT_S * 2**refused, LONGEST_WAIT_S) if told_s is None else max(told_s, 0.0)
