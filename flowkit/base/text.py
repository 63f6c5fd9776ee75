"""Texts that come from outside: checked, mended, and made safe to show."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters; a terminal escape begins with one of them
    r"\u2028\u2029"  # line breaks that not every program takes for one
    r"\u202a-\u202e\u2066-\u2069"  # change the direction of the text that follows
    r"\ud800-\udfff]"  # half of a surrogate pair, which UTF-8 cannot carry
)


def check_text(text: Any, where: str) -> None:
    """Raise where `text` is none, or has half a surrogate pair, which UTF-8 cannot carry."""
    if not isinstance(text, str):
        raise TypeError(f"{where} must be text, got {type(text).__name__}")
    if text.isascii():  # needs no copy, which counts for a text of 100 MB
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: character {error.start} is half of a surrogate pair; decode the text anew"
        ) from None


def read_text(text: Any, name: str) -> str | None:
    """Return a text that may be left out: a blank one is none. Raises TypeError or ValueError where it is no text."""
    if not isinstance(text, str) and is_nothing(text):
        return None
    check_text(text, f"'{name}'")
    return text if text.strip() else None


def clean(text: str) -> str:
    """Return `text` so that UTF-8 can carry it: surrogate halves that pair up are joined, others become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def joined_pairs(text: str) -> str:
    """Return `text` with the surrogate halves that pair up joined; a half that is alone stays."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def visible(text: str, kept: str = "\n\t") -> str:
    r"""Return `text` with every character that could act on a terminal written out, such as \x1b.

    kept: characters that stay as they are. The result always encodes as UTF-8; halves of surrogate pairs are written
    out too, so `clean` comes first. Each character is treated by itself: a text may be treated piece by piece.
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in kept else repr(found[0])[1:-1], text)


def shown(value: Any, limit: int = 40) -> str:
    """Return the start of `value` as Python writes it."""
    if type(value) is str:
        return _start(repr(value[: limit + 1]), limit)
    try:
        return _start(visible(repr(value), kept=""), limit)
    except (RecursionError, ValueError):  # nested too deep, or a number with thousands of digits
        return f"a {type(value).__name__} that is too large to show"


def in_one_line(text: str, limit: int) -> str:
    """Return the start of `text`: its line breaks as blanks, and nothing in it that acts on a terminal."""
    words = (found[0] for found in islice(re.finditer(r"\S+", text), limit + 1))
    return _start(visible(" ".join(words)[: limit + 1], kept=""), limit)


def is_nothing(value: Any) -> bool:
    """Tell whether `value` is one of the ways in which files and tables write that there is none.

    They are None, NaN, the NA and NaT of pandas, a blank text, and the texts null, NaN and None in any case.
    """
    if isinstance(value, str):
        return value.isspace() or (len(value) < 20 and value.strip().lower() in ("", "null", "nan", "none"))
    if isinstance(value, float):
        return value != value
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _start(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
