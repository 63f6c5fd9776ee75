"""JSON text from outside, read with bounds: what is too deep or too long is refused in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

JsonObject = dict[str, Any]  # as JSON comes in or goes out; what a program keeps is a record


DEEPEST = 100  # objects and arrays inside each other; Python itself gives up between 1,000 and 100,000
LONGEST_NUMBER = 1000  # digits; Python itself gives up at 4,300
_MARKS = re.compile(rf'\\.|["\[\]{{}}]|\d{{{LONGEST_NUMBER + 1},}}', re.DOTALL)


def read_json(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError that says what is wrong with it, and in which column."""
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(text)
    try:
        return json.loads(text)
    except RecursionError:  # the caller is deep already
        raise ValueError("it is nested too deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than Python turns into a number
        raise ValueError(_about_number(text)) from None


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
