"""The lines of a data file, checked before anything is sent."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from flowkit.base.errors import BadInputError
from flowkit.base.text import check_text, shown
from flowkit.data.records import Line
from flowkit.data.statements import read_statements
from flowkit.prompt.history import checked, read_history

T = TypeVar("T")
EXAMPLE = '{"question": "What is Prompt flow?"}'


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a JSONL, CSV or TSV file, told by its suffix.

    In a table, `chat_history` and `statements` are JSON text. Raises BadInputError for the first line that cannot be
    used, and for a file without any.
    """
    return read_objects(path, _line, EXAMPLE)


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
    try:
        with path.open("rb") as file:
            return list(objects_in(str(path), rows_in(str(path), file), read, example))
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from None


def lines_in(name: str, rows: Iterable[tuple[int, str | dict[str, Any]]]) -> Iterator[Line]:
    """Yield the lines of data that is called `name`, one after the other, for data that no memory holds."""
    return objects_in(name, rows, _line, EXAMPLE)


def objects_in(
    name: str, rows: Iterable[tuple[int, str | dict[str, Any]]], read: Callable[[int, dict[str, Any]], T], example: str
) -> Iterator[T]:
    """Yield what `read` makes of each row, JSON text or fields; see `read_objects`."""
    number = 0
    try:
        for number, row in rows:
            try:
                yield read(number, row if isinstance(row, dict) else _object(row, example))
            except (TypeError, ValueError) as error:
                raise BadInputError(f"{name} line {number}: {error}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{name}: expected UTF-8, got other bytes; save it as UTF-8") from None
    if not number:
        raise BadInputError(f"{name}: is empty; expected lines such as {example}")


def rows_in(name: str, file: IO[bytes]) -> Iterator[tuple[int, str | dict[str, Any]]]:
    """Yield the numbered rows of a JSONL, CSV or TSV file, told by its name: JSON text or fields."""
    suffix = PurePosixPath(name).suffix.lower()
    return _rows_of_table(name, suffix, file) if suffix in (".csv", ".tsv") else _rows_of_jsonl(file)


def _rows_of_jsonl(file: IO[bytes]) -> Iterator[tuple[int, str]]:
    # Lines end with LF alone: JSON text may hold U+2028 and its like, at which Python would end them too.
    for number, raw in enumerate(file, start=1):
        if text := raw.decode("utf-8-sig" if number == 1 else "utf-8").strip():
            yield number, text


def _rows_of_table(name: str, suffix: str, file: IO[bytes]) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(2**31 - 1)  # 128 KiB otherwise
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        table = csv.DictReader(text, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
        try:
            for row in table:
                if None in row:
                    raise BadInputError(f"{name} line {table.line_num}: has more cells than the first line names")
                yield table.line_num, {column: cell for column, cell in row.items() if cell}
        except csv.Error as error:
            raise BadInputError(f"{name} after line {table.line_num}: is no table: {error}") from None


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
