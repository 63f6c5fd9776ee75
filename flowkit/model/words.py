"""A service's own words: found in the body of its error, in one line, without a secret."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable

from flowkit.base.text import clean, in_one_line
from flowkit.model.configuration import Model, Service
from flowkit.model.route import OPENAI

LONGEST = 300  # characters of a service's words in a message of ours
LONGEST_READ = 20_000
DEEPEST = 6
# Where services put their words: OpenAI, Gemini, Ollama, TGI ("error"), FastAPI, Mistral ("detail"), vLLM, Azure
# ("message"), Cloudflare ("errors"), Baidu ("error_msg"), MiniMax ("status_msg"), Groq, whose last chunk may have an
# "error" in "x_groq", and what sits around "message" at OpenRouter ("metadata").
NAMES_OF_ERRORS = (
    *("error", "errors", "fault", "message", "msg", "detail", "error_message", "errormessage", "error_msg"),
    *("base_resp", "x_groq"),
)
NAMES = (*NAMES_OF_ERRORS, "error_description", "faultstring", "status_msg", "title", "reason", "metadata", "raw")
NO_ERRORS = ("status", "ping", "progress")  # events of servers that tell of their work
NO_WORDS = ("", "success", "ok")
LAST_RESORT = ("code", "type", "status")  # an error that has no words has at least a name
PAGE = re.compile(r"\s*<(!doctype html|html|head|body|title|h1|center|!--)", re.IGNORECASE)
NO_TEXT = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)
SECRET_IN_QUERY = re.compile(
    r"""([?&][\w.-]*(?:key|token|sig|signature|secret|password)[\w.-]*=)[^\s&"'<>)]+""", re.IGNORECASE
)


def said(body: object, service: Service) -> str:
    """Return the service's own words in `body` (JSON, text or bytes), in one line; "" where there are none.

    Cut out are the key, and what the address carries in its query. A web page is told by its title.
    """
    return in_one_line(without_secrets(_words(body), service), LONGEST)


def is_error(frame: dict[str, object]) -> bool:
    """Say whether an object that came in place of a chunk or of a whole reply tells of an error."""
    if "error" in (frame.get("object"), frame.get("type")):
        return True
    if "choices" in frame:
        beside = {name: frame[name] for name in ("error", "x_groq") if frame.get(name)}
        return bool(beside) and bool(_words(beside, names=beside, or_code=False))  # every chunk comes here: be quick
    return bool(frame.get("error")) or has_words(frame)


def has_words(frame: dict[str, object]) -> bool:
    """Say whether there are words where services put those of an error."""
    told = "" if frame.get("type") in NO_ERRORS else _words(frame, names=NAMES_OF_ERRORS, or_code=False)
    return told.lower() not in NO_WORDS


def without_secrets(text: str, service: Service) -> str:
    """Return `text` without the key and without the secrets of the service's address."""
    text = clean(text)
    text = _without(text, service.api_key.strip(), "<the key>")
    for secret in _secrets_of(service.base_url or ""):
        text = _without(text, secret, "<cut>")
    return SECRET_IN_QUERY.sub(r"\1<cut>", text)


def address(service: Service) -> str:
    """Return where the service is, for messages: without a password, and without its query's values."""
    url = re.sub(r"//[^/?#]*@", "//", service.base_url or OPENAI)
    return re.sub(r"\?.*", "?...", url)


def place(model: Model) -> str:
    """Return which model was asked where."""
    return f"{model.name} at {address(model.service)}"


def _without(text: str, secret: str, sign: str) -> str:
    """Cut `secret` out of `text`.

    A short one, such as "test", may be part of other words: it is cut as a word of its own. One of a letter or two
    may be such a word, an "a": it is cut where it stands in quotation marks or follows a colon or "key".
    """
    if len(secret) >= 8:
        return text.replace(secret, sign)
    if not secret:
        return text
    word = rf"(?<![\w-]){re.escape(secret)}(?![\w-])"
    if len(secret) < 3:
        word = rf"""(?:(?<=["'`(\[<=])|(?<=:)|(?<=: )|(?<=\bkey )|(?<=\btoken )|(?<=\bBearer ))(?i:{word})"""
    return re.sub(word, sign, text)


def _secrets_of(url: str) -> Iterable[str]:
    _, _, query = url.partition("?")
    yield from (pair.partition("=")[2] for pair in query.split("&") if "version" not in pair)
    if login := re.search(r"//[^/?#@]*:([^/?#]*)@", url):
        yield login[1]


def _words(body: object, names: Iterable[str] = NAMES, or_code: bool = True, depth: int = 0) -> str:
    if depth > DEEPEST:
        return ""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        return _of_text(body, depth)
    if isinstance(body, list):
        return _joined("; ", (_words(each, depth=depth + 1) for each in body[:5]))
    if not isinstance(body, dict):
        return ""
    fields = {str(name).lower(): value for name, value in body.items()}
    words = _joined(": ", (_words(fields.get(name), depth=depth + 1) for name in names))
    if words and isinstance(where := fields.get("loc"), list):  # FastAPI: which parameter it is about
        return f"{'.'.join(map(str, where))}: {words}"
    return words or (_joined(" ", (str(fields[name]) for name in LAST_RESORT if fields.get(name))) if or_code else "")


def _of_text(text: str, depth: int) -> str:
    text = text.strip()
    if text.startswith(("{", "[")):
        try:
            return _words(json.loads(text), depth=depth + 1) or text
        except (ValueError, RecursionError):
            return text
    text = text[:LONGEST_READ]
    if text.startswith("<") and ">" in text:
        title = re.search(r"<title[^>]*>(.*?)</title", text, re.IGNORECASE | re.DOTALL)
        words = html.unescape(NO_TEXT.sub(" ", title[1] if title else text)).strip()
        return f"an HTML page: {words}" if PAGE.match(text) else words
    return text


def _joined(between: str, words: Iterable[str]) -> str:
    """Join what is there, each text once."""
    return between.join(dict.fromkeys(each for each in words if each))
