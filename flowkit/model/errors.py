"""Which errors of a service cannot heal: a refused key, a model that is not there, a quota that is used up."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import httpx2
import openai

from flowkit.model.words import PAGE

# The codes and words of OpenAI, Azure, Anthropic, DeepSeek, OpenRouter, xAI, Moonshot, Hugging Face, DashScope, Zhipu,
# Perplexity, Together, Cohere, LiteLLM, Bedrock, Novita, ModelScope and Volcengine for an account without money, or a
# day, a week or a month without any more requests.
USED_UP = re.compile(
    r"insufficient[_ ](user[_ ])?(quota|balance|credits?|funds)|billing[_ ](hard[_ ]limit|not[_ ]active)"
    r"|account_?overdue|arrearage|余额不足|欠费|calls / month|PerDay"
    r"|(exceeded|reached) (your|its|the) (current quota|monthly|spending)|exceeded_current_quota"
    r"|(credit|account|your) balance is (too low|insufficient|not enough)|out of credits"
    r"|(used|spent) all (of )?(your|its|available) |credit limit exceeded|spending limit"
    r"|per[-_ ]day\b|daily (limit|quota)|budget[_ ](has been )?exceeded"
    r"|free ?tier.{0,40}(exhausted|only)|out of call volume quota|daily free allocation|ByDay"
    r"|reached your specified API usage limits|usage limit reached for \d+ hours?|free allocated quota"
    r"|daily rate limit|\b[TR]PD rate limit|monthly usage limit|(weekly|monthly)\W+(weekly|monthly)? ?limit exhausted"
    r"|today's quota|SetLimitExceeded|not[_ ]enough[_ ]balance|(doesn't|does not|don't) have any credits",
    re.IGNORECASE,
)
# Gemini says "you exceeded your current quota" of every minute's limit too, and when to ask again.
HEALS = re.compile(r"retry in \d|try again in \d|retryDelay|per[ _]?minute", re.IGNORECASE)
TOO_LARGE = re.compile(r"request too large|tokens must be reduced", re.IGNORECASE)  # for the limit of a whole minute
LOADING = re.compile(
    r"\bloading (the )?model|model\b.{0,80}\bloading", re.IGNORECASE
)  # llama.cpp, Ollama, Hugging Face
NO_MODEL = re.compile(  # of OpenAI, Azure, LM Studio, OpenRouter, LiteLLM, Groq, Hugging Face, GitHub, Bedrock
    r"model_not_found|invalid_model|deploymentnotfound|no models? loaded|model\b.{0,80}\b(not found|not exist)"
    r"|not a valid model|invalid model (name|identifier)|model_decommissioned|model_not_supported|unknown_model"
    r"|model identifier is invalid|模型不存在",
    re.IGNORECASE,
)
OVERLOADED = re.compile(
    r"overload|(server|model|engine) (is )?(too )?busy|at capacity|capacity[_ ]exceeded", re.IGNORECASE
)
MODERATED = re.compile(r"moderation|flagged|content[_ ](policy|filter)|safety", re.IGNORECASE)


def is_used_up(body: object) -> bool:
    """Say whether the body of an error (JSON, text or bytes) tells of a used-up quota, which no waiting brings back."""
    text = text_of(body)
    if not USED_UP.search(text):
        return False
    return not HEALS.search(text) or "perday" in text.lower()


def is_too_large(body: object) -> bool:
    """Say whether the body of a 429 tells that this one request is above the limit, whenever it is sent."""
    return TOO_LARGE.search(text_of(body)) is not None


def is_loading(error: openai.APIStatusError) -> bool:
    """Say whether the server is there and its model is not yet."""
    return error.status_code == 503 and LOADING.search(text_of(body_of(error))) is not None


def is_overloaded(error: openai.APIStatusError) -> bool:
    """Say whether the service, which is there, has too much to do for now; Anthropic has a status of its own for it."""
    return error.status_code in (503, 529) and OVERLOADED.search(text_of(body_of(error))) is not None


def hopeless(error: BaseException) -> str | None:
    """Return in a short sentence why no request of this kind can succeed, None where asking again may help."""
    if not isinstance(error, openai.APIError):
        return None
    status, text = _status(error), f"{error.code or ''} {text_of(body_of(error))}"
    if status == 402 or (status != 404 and is_used_up(text)):
        return "the quota is used up"
    if status == 401 or (status == 403 and not _is_about_the_texts(text)) or "API_KEY_INVALID" in text:
        return "the key is refused"
    if status in (404, 405):
        return "the model or the path is not there"
    if (status == 400 and NO_MODEL.search(text)) or "model_not_found" in text:  # new-api's has status 503
        return "the model is not there"
    return _too_long(error)


def _is_about_the_texts(text: str) -> bool:
    """Say whether a 403 refuses what was sent: a moderation says so, a firewall, which looks at texts, with a page."""
    return MODERATED.search(text) is not None or PAGE.match(text) is not None


def body_of(error: openai.APIError) -> object:
    """Return what came with the error: the bytes of the response, or what openai keeps of it."""
    if isinstance(error, openai.APIStatusError):
        with suppress(httpx2.StreamError):  # closed before it was read
            return error.response.content
    return error.body


def _too_long(error: openai.APIError) -> str | None:
    """Tell of a Retry-After for which our client would not wait; it has marked the reply so (see `client`)."""
    if not isinstance(error, openai.APIStatusError) or error.response.headers.get("x-should-retry") != "false":
        return None
    asked = [f"{name}: {value:.40}" for name, value in error.response.headers.items() if name.startswith("retry-after")]
    return f"the service asks to wait longer than we would ({asked[0]})" if asked else None


def _status(error: openai.APIError) -> int | None:
    """Return the HTTP status, or the one that an error within a stream names as its code."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code
    return int(error.code) if error.code and re.fullmatch(r"[45]\d\d", error.code) else None


def text_of(body: object) -> str:
    """Return the body of an error (JSON, text or bytes) as text."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError):
            body = json.loads(body) if "\\u" in body else body  # some write Chinese words so
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
