"""The lines of a data file, checked before anything is sent."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flowkit.history import Message, check_text, checked, read_history, shown
from flowkit.statements import read_statements

T = TypeVar("T")


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
    return read_objects(path, _line, '{"question": "What is Prompt flow?"}')


def digest_of(path: Path) -> str | None:
    """Return the first 12 digits of the file's SHA-256; None for a pipe, which can be read only once."""
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while piece := content.read(2**20):
            digest.update(piece)
    return digest.hexdigest()[:12]


def read_objects(path: Path, read: Callable[[int, dict[str, Any]], T], example: str) -> list[T]:
    """Return what `read` makes of each line of a file, given its number and its fields.

    Raises BadInputError where a line has no fields, where `read` raises TypeError or ValueError, and for a file
    without lines. example: a line as it should be, to be shown then.
    """
    is_table = path.suffix.lower() in (".csv", ".tsv")
    found = []
    try:
        for number, row in _rows_of_table(path) if is_table else _rows_of_jsonl(path):
            try:
                found.append(read(number, row if isinstance(row, dict) else _object(row, example)))
            except (TypeError, ValueError) as error:
                raise BadInputError(f"{path} line {number}: {error}") from None
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: expected UTF-8, got other bytes; save it as UTF-8") from None
    if not found:
        raise BadInputError(f"{path}: is empty; expected lines such as {example}")
    return found


def _rows_of_jsonl(path: Path) -> Iterator[tuple[int, str]]:
    # Lines end with LF alone: JSON text may hold U+2028 and its like, at which Python would end them too.
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if text := raw.decode("utf-8-sig" if number == 1 else "utf-8").strip():
                yield number, text


def _rows_of_table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(2**31 - 1)  # 128 KiB otherwise
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        try:
            for row in table:
                if None in row:
                    raise BadInputError(f"{path} line {table.line_num}: has more cells than the first line names")
                yield table.line_num, {column: cell for column, cell in row.items() if cell}
        except csv.Error as error:
            raise BadInputError(f"{path} after line {table.line_num}: is no table: {error}") from None


def _object(text: str, example: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, a number of 5000 digits, [[[[...
        raise ValueError(f"expected a JSON object such as {example}, got text that is no JSON ({error})") from None
    if not isinstance(fields, dict):
        raise TypeError(f"expected a JSON object such as {example}, got {shown(fields)}")
    return fields


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
