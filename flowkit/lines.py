"""The lines of a data file, checked before anything is sent."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
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

    number: 1 for the first line of the file, as an editor shows it; in a table, that of the row's last line.
    """

    number: int
    question: str
    chat_history: list[Message]
    statements: dict[str, str]


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a JSONL, CSV or TSV file, told by its suffix.

    In a table, `chat_history` and `statements` are JSON text. Raises BadInputError for the first line that cannot be
    used, and for a file without any.
    """
    read = {".csv": _rows_of_table, ".tsv": _rows_of_table}.get(path.suffix.lower(), _rows_of_jsonl)
    try:
        lines = [_checked_line(path.name, number, fields) for number, fields in read(path)]
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: expected UTF-8, got other bytes; save it as UTF-8") from None
    if not lines:
        raise BadInputError(f'{path}: is empty; write lines such as {{"question": "What is Prompt flow?"}}')
    return lines


def _rows_of_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    # Lines end with LF alone: JSON text may hold U+2028 and its like, at which Python would end them too.
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if text := raw.decode("utf-8-sig" if number == 1 else "utf-8").strip():
                yield number, _parsed(text, f"{path.name} line {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, a number of 5000 digits, [[[[...
        raise BadInputError(f"{where}: expected a JSON object, got text that is no JSON ({error})") from None


def _rows_of_table(path: Path) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(2**31 - 1)  # 128 KiB otherwise
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        try:
            for row in table:
                if None in row:
                    raise BadInputError(f"{path.name} line {table.line_num}: has more cells than the first line names")
                yield table.line_num, {column: cell for column, cell in row.items() if cell}
        except csv.Error as error:
            raise BadInputError(f"{path.name} after line {table.line_num}: is no table: {error}") from None


def _checked_line(file_name: str, number: int, fields: Any) -> Line:
    where = f"{file_name} line {number}"
    if not isinstance(fields, dict):
        raise BadInputError(f'{where}: expected a JSON object such as {{"question": "..."}}, got {shown(fields)}')
    try:
        return _line(number, fields)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{where}: {error}") from None


def _line(number: int, fields: dict[str, Any]) -> Line:
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
