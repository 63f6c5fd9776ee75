"""Knows what a chat request must look like; everything after this file can rely on it."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")
FORMATS = ("text", "json_object", "json_schema")


class RequestError(Exception):
    """The message says what is wrong; `param` names the field, such as messages[2].role, or is None."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True)
class Message:
    """`text`: the content; of a list of parts, all of them joined."""

    role: str
    text: str


@dataclass(frozen=True)
class ChatRequest:
    """`id`: the completion's, the same for the same bytes. `max_pieces`: of the answer, see `words.pieces`.

    `wants_pass`: the JSON schema of the reply has a score that is true or false.
    """

    id: str
    model: str
    messages: list[Message]
    stream: bool
    include_usage: bool
    max_pieces: int | None
    wants_json: bool
    wants_pass: bool

    @property
    def user_texts(self) -> list[str]:
        return [message.text for message in self.messages if message.role == "user"]


def parse(raw: bytes, default_model: str | None = None) -> ChatRequest:
    """Return the request in the body `raw`, or raise RequestError. Fields that change nothing here are not read."""
    body = _body(raw)
    if body.get("n") not in (None, 1):
        raise _wrong("n", "1, since the offline model knows one answer", body["n"])
    stream = _flag(body, "stream")
    options = _object(body, "stream_options")
    if options and not stream:
        raise RequestError("stream_options is only allowed when stream is true.", "stream_options")
    return ChatRequest(
        id="chatcmpl-" + hashlib.sha256(raw).hexdigest()[:29],
        model=_model(body, default_model),
        messages=[_message(f"messages[{index}]", value) for index, value in enumerate(_messages(body))],
        stream=stream,
        include_usage=_flag(options, "include_usage", "stream_options."),
        max_pieces=_limit(body, "max_completion_tokens") or _limit(body, "max_tokens"),
        wants_json=_format(body) != "text",
        wants_pass=_wants_pass(body),
    )


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise RequestError("The body of the request is not valid JSON.") from None
    if not isinstance(body, dict):
        raise RequestError("The body of the request must be a JSON object.")
    return body


def _model(body: dict[str, Any], default: str | None) -> str:
    model = body.get("model") or default
    if not isinstance(model, str):
        raise _wrong("model", "the name of a model, any name", model)
    return model


def _messages(body: dict[str, Any]) -> list[Any]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "a list of at least one message", messages)
    return messages


def _message(where: str, value: Any) -> Message:
    if not isinstance(value, dict):
        raise _wrong(where, "an object with role and content", value)
    role = value.get("role")
    if role not in ROLES:
        raise _wrong(f"{where}.role", f"one of {', '.join(ROLES)}", role)
    return Message(role, _text(f"{where}.content", role, value.get("content")))


def _text(where: str, role: str, content: Any) -> str:
    if content is None and role == "assistant":  # it called a tool instead
        return ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list) or not all(_is_text_part(part) for part in parts):
        raise _wrong(where, "a string or a list of parts of type text", content)
    return "".join(part["text"] for part in parts)


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _flag(body: dict[str, Any], name: str, prefix: str = "") -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(prefix + name, "true or false", value)
    return bool(value)


def _limit(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is not None and (type(value) is not int or value < 1):  # `type`: true is an int to isinstance
        raise _wrong(name, "an integer of at least 1", value)
    return value


def _format(body: dict[str, Any]) -> str:
    kind = _object(body, "response_format").get("type", "text")
    if kind not in FORMATS:
        raise _wrong("response_format.type", f"one of {', '.join(FORMATS)}", kind)
    return str(kind)


def _wants_pass(body: dict[str, Any]) -> bool:
    found: Any = body
    for name in ("response_format", "json_schema", "schema", "properties", "score"):
        found = found.get(name) if isinstance(found, dict) else None
    return isinstance(found, dict) and found.get("type") == "boolean"


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise _wrong(name, "an object", value)
    return value or {}


def _wrong(where: str, expected: str, value: Any) -> RequestError:
    """Return the error about the field `where`. Text in it is not repeated: it may be long, or private."""
    kinds: dict[type, str] = {str: "a string", list: "a list", dict: "an object"}
    came = kinds[type(value)] if value and type(value) in kinds else json.dumps(value)
    return RequestError(f"{where} must be {expected}, got {came}.", where)
