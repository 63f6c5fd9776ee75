"""The lines of a data file, checked before anything is sent."""

from __future__ import annotations

import codecs
import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

from flowkit.base.errors import BadInputError
from flowkit.base.json_text import JsonObject, NameTwiceError, read_json
from flowkit.base.text import check_text, is_nothing, read_text, shown
from flowkit.data.checklist import Checklist, joined, scalar
from flowkit.data.inputs import own_inputs, read_inputs
from flowkit.data.records import Answer, Line
from flowkit.data.statements import read_statements
from flowkit.data.tables import rows_of_table
from flowkit.prompt.history import checked, read_history
from flowkit.prompt.prompty import Prompt

T = TypeVar("T")
EXAMPLE = '{"question": "What is Prompt flow?"}'
READ = ("question", "chat_history", "statements", "reference", "answer")  # the columns that have a field of their own
_BETWEEN = "\ufeff\x1a"  # where files were joined: a byte-order mark, the end of a file of DOS
NO_TEXT = {  # what begins with these bytes
    b"\x1f\x8b": "a file packed by gzip; unpack it with gunzip",
    b"PK\x03\x04": "a workbook of a spreadsheet, or another zip file; save it as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "a workbook of a spreadsheet; save it as CSV UTF-8",
    b"BZh": "a file packed by bzip2; unpack it with bunzip2",
    b"\xfd7zXZ": "a file packed by xz; unpack it with unxz",
    b"\x28\xb5\x2f\xfd": "a file packed by Zstandard; unpack it with unzstd",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with git lfs pull",
    b"PAR1\x15": "a Parquet file; --engine ray reads it where its name ends in .parquet",
}


def read_lines(path: Path, prompt: Prompt | None = None, checklist: Checklist | None = None) -> list[Line]:
    """Return the lines of a JSONL, CSV or TSV file, told by its suffix.

    In a table, `chat_history` and `statements` are JSON text; blanks, null, NaN and None there are none.
    prompt: whose own inputs are columns of the file. checklist: statements that join those of each line.
    Raises BadInputError for the first line that cannot be used, and for a file without any.
    """
    return read_objects(path, _reader(prompt, checklist), EXAMPLE)


def digest_of(path: Path) -> str | None:
    """Return the first 12 digits of the file's SHA-256; None for a pipe, which can be read only once."""
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while piece := content.read(2**20):
            digest.update(piece)
    return digest.hexdigest()[:12]


def read_objects(path: Path, read: Callable[[int, JsonObject], T], example: str) -> list[T]:
    """Return what `read` makes of each line of a file, given its number and its fields.

    Raises BadInputError where a line has no fields, where `read` raises TypeError or ValueError, and for a file
    without lines. example: a line as it should be, to be shown then.
    """
    try:
        with path.open("rb") as file:
            return list(objects_in(str(path), rows_in(str(path), file), read, example))
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from None


def lines_in(
    name: str,
    rows: Iterable[tuple[int, str | JsonObject]],
    prompt: Prompt | None = None,
    checklist: Checklist | None = None,
) -> Iterator[Line]:
    """Yield the lines of data that is called `name`, one after the other, for data that no memory holds."""
    return objects_in(name, rows, _reader(prompt, checklist), EXAMPLE)


def objects_in(
    name: str, rows: Iterable[tuple[int, str | JsonObject]], read: Callable[[int, JsonObject], T], example: str
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
        table = name.lower().endswith((".csv", ".tsv"))
        expected = "a line that names the columns, and rows below it" if table else f"lines such as {example}"
        raise BadInputError(f"{name}: is empty; expected {expected}")


def rows_in(name: str, file: BufferedReader) -> Iterator[tuple[int, str | JsonObject]]:
    """Yield the numbered rows of a JSONL, CSV or TSV file, told by its name: JSON text or fields.

    The text is UTF-8, or what the file's byte-order mark says.
    """
    encoding = _encoding(name, file.peek(32))
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in (".csv", ".tsv"):
        return rows_of_table(name, "\t" if suffix == ".tsv" else ",", file, encoding)
    return _rows_of_jsonl(file, encoding)


def _encoding(name: str, start: bytes) -> str:
    if kind := next((kind for first, kind in NO_TEXT.items() if start.startswith(first)), None):
        raise BadInputError(f"{name}: expected JSONL or a table, as text, got {kind}")
    start = start[:4]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins as UTF-16's does
        return "utf-32"
    if len(start) > 2 and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in start:
        kind = "UTF-16" if start.count(0) < 3 else "UTF-32"
        raise BadInputError(f"{name}: expected UTF-8, got {kind} without a byte-order mark; save it as UTF-8")
    return "utf-8-sig"


def _rows_of_jsonl(file: IO[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    # Lines end with LF alone: JSON text may hold U+2028 and its like, at which Python would end them too.
    with io.TextIOWrapper(file, encoding=encoding, newline="\n") as lines:
        for number, text in enumerate(map(str.strip, lines), start=1):  # of a long line, only this copy is kept
            if text[:1] in _BETWEEN or text[-1:] in _BETWEEN:
                text = text.strip(_BETWEEN)
            if text:
                yield number, text


def _object(text: str, example: str) -> JsonObject:
    expected = f"expected a JSON object such as {example}, got"
    if text.startswith("["):
        raise TypeError(f"{expected} an array; write each of its objects on a line of its own")
    try:
        fields = read_json(text)
    except NameTwiceError:
        raise
    except ValueError as error:
        hint = "; write the whole object on one line" if text == "{" else ""
        hint = "; its lines end with CR: save it with line feeds" if "\r" in text else hint
        raise ValueError(f"{expected} text that is no JSON ({error}){hint}") from None
    if not isinstance(fields, dict):
        raise TypeError(f"{expected} {shown(fields)}")
    return fields


def _reader(prompt: Prompt | None, checklist: Checklist | None) -> Callable[[int, JsonObject], Line]:
    if not checklist:
        return lambda number, fields: line_of(number, fields, prompt)
    return lambda number, fields: joined(line_of(number, fields, prompt), checklist)


def line_of(number: int, fields: JsonObject, prompt: Prompt | None = None) -> Line:
    """Return the line that these fields are. Raises ValueError or TypeError where they are none.

    prompt: whose own inputs are fields, too; a line that has an answer needs none.
    """
    check_names(fields, (*READ, *(own_inputs(prompt) if prompt else ())))
    if "question" not in fields:
        raise ValueError(f"'question' is missing; the line has {', '.join(map(shown, fields)) or 'nothing'}")
    check_text(fields["question"], "'question'")
    history, answer = read_history(fields.get("chat_history")), _answer(fields.get("answer"))
    inputs = read_inputs(fields, prompt) if prompt and answer is None else {}
    return Line(
        number=number,
        question=fields["question"],
        chat_history=[checked(message, position) for position, message in enumerate(history)],
        statements=read_statements(fields.get("statements")),
        reference=read_text(fields.get("reference"), "reference"),
        inputs=inputs,
        answer=answer,
        answered_from=None if answer is None else "data",
        extra={column: scalar(value) for column, value in fields.items() if column not in (*READ, *inputs)},
    )


def check_names(fields: JsonObject, known: Collection[str]) -> None:
    """Raise ValueError for a name that only capitals, blanks or signs tell from a known one: nobody would read it."""
    for name in fields:
        if name not in known and (meant := [each for each in known if _letters(each) == _letters(name)]):
            raise ValueError(
                f"{shown(name)}: did you mean {meant[0]!r}? Write it so; for something else, choose another name"
            )


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _answer(found: Any) -> Answer | None:
    """Return the answer that a line has; a blank text is one too, and null, NaN and the like are none."""
    if not isinstance(found, str) and is_nothing(found):
        return None
    check_text(found, "'answer'")
    return Answer(found)
