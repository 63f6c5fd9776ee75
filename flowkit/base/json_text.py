"""JSON text from outside, read with bounds: what is too deep or too long is refused in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flowkit.base.text import shown

JsonObject = dict[str, Any]  # as JSON comes in or goes out; what a program keeps is a record


DEEPEST = 100  # objects and arrays inside each other; Python itself gives up between 1,000 and 100,000
LONGEST_NUMBER = 1000  # digits; Python itself gives up at 4,300
_PYTHON = re.compile(r"\s*[\[{][\s\[{(]*'")
_MARKS = re.compile(rf'\\.|["\[\]{{}}]|\d{{{LONGEST_NUMBER + 1},}}', re.DOTALL)


class NameTwiceError(ValueError):
    """An object has two values of the same name; JSON readers would pass over one of them."""


def read_json(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError that says what is wrong with it, and in which column."""
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(text)
    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:  # the caller is deep already
        raise ValueError("it is nested too deep") from None
    except NameTwiceError:
        raise
    except json.JSONDecodeError:
        if _PYTHON.match(text):
            raise ValueError("it looks like Python's notation; write it with json.dumps") from None
        raise
    except ValueError:  # more digits than Python turns into a number
        raise ValueError(_about_number(text)) from None


def once(pairs: list[tuple[str, Any]]) -> JsonObject:
    """Return an object of JSON, for `object_pairs_hook`. Raises NameTwiceError for a name that stands there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NameTwiceError(f"{shown(twice)} stands there twice; rename one of them")
    return found


def _check_depth(text: str) -> None:
    depth = 0
    for column, mark in _outside_texts(text):
        depth += (mark in ("[", "{")) - (mark in ("]", "}"))
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep at column {column}")


def _about_number(text: str) -> str:
    numbers = ((column, mark) for column, mark in _outside_texts(text) if mark[0].isdigit())
    column, digits = next(numbers, (1, ""))
    return f"the number at column {column} has {len(digits)} digits; write it as text"


def _outside_texts(text: str) -> Iterator[tuple[int, str]]:
    """Yield the brackets and the long numbers that stand outside texts, each with its column."""
    within = False
    for found in _MARKS.finditer(text):
        if found[0] == '"':
            within = not within
        elif not within:
            yield found.start() + 1, found[0]
