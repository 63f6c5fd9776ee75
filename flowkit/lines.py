"""The lines of a data file, checked before anything is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowkit.history import Message, check_text, checked, read_history, shown
from flowkit.statements import read_statements


class BadInputError(ValueError):
    """The data file cannot be used; the message says where, what was expected and what came."""


@dataclass(frozen=True)
class Line:
    """One line: what is asked, after which history, and what the answer is judged by.

    number: 1 for the first line of the file, blank lines counted, as an editor shows it.
    """

    number: int
    question: str
    chat_history: list[Message]
    statements: dict[str, str]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a JSONL file. Raises BadInputError for the first one that cannot be used."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{path}: expected UTF-8, got something else at byte {error.start}; save it as UTF-8"
        ) from None
    # Not splitlines: JSON text may hold U+2028 and the like unescaped.
    lines = [
        _read_line(text, number, f"{path.name} line {number}")
        for number, text in enumerate(content.split("\n"), start=1)
        if text.strip()
    ]
    if not lines:
        raise BadInputError(f'{path}: is empty; write lines such as {{"question": "What is Prompt flow?"}}')
    return lines


def _read_line(text: str, number: int, where: str) -> Line:
    try:
        fields = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInputError(f"{where}: expected a JSON object, got text that is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise BadInputError(f'{where}: expected a JSON object such as {{"question": "..."}}, got {shown(fields)}')
    try:
        return _checked_line(number, fields)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{where}: {error}") from None


def _checked_line(number: int, fields: dict[str, Any]) -> Line:
    if "question" not in fields:
        raise ValueError(f"'question' is missing; the line has {', '.join(map(shown, fields)) or 'nothing'}")
    check_text(fields["question"], "'question'")
    history = read_history(fields.get("chat_history"))
    return Line(
        number=number,
        question=fields["question"],
        chat_history=[checked(message, position) for position, message in enumerate(history)],
        statements=read_statements(fields.get("statements", {})),
    )
