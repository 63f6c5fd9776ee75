"""Texts that come from outside: checked, and shortened for messages."""

from __future__ import annotations

from typing import Any


def check_text(text: Any, where: str) -> None:
    """Raise where `text` is none, or has half a surrogate pair, which UTF-8 cannot carry."""
    if not isinstance(text, str):
        raise TypeError(f"{where} must be text, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: character {error.start} is half of a surrogate pair; decode the text anew"
        ) from None


def encodable(text: str) -> str:
    """Return `text` as UTF-8 can carry it: the two halves of a surrogate pair joined, a lone one as U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def shown(value: Any, limit: int = 40) -> str:
    """Return the start of `value` as Python writes it."""
    return _start(repr(value), limit)


def in_one_line(text: str, limit: int) -> str:
    """Return the start of `text`, its line breaks as blanks."""
    return _start(" ".join(text.split()), limit)


def _start(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
