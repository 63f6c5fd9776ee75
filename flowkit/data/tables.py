"""CSV and TSV files as spreadsheets and databases write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain
from typing import IO

from flowkit.base.errors import BadInputError
from flowkit.base.text import shown

KNOWN = {
    "question",
    "chat_history",
    "statements",
    "answer",
    "reference",
    "statement",
    "score",
}  # columns that files here have


def rows_of_table(name: str, separator: str, file: IO[bytes], encoding: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row as {column: cell} with the number of its last line; blank rows and empty cells are left out.

    separator: between the cells; in place of commas semicolons are read too, where the header leaves no doubt.
    Raises BadInputError for what is no table, and for a column without a name or with that of another one.
    """
    csv.field_size_limit(2**31 - 1)  # 128 KiB otherwise
    with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        header = text.readline()
        if separator == "," and _has_semicolons(name, header):
            separator = ";"
        table, number = csv.reader(chain([header], text), delimiter=separator, strict=True), 0
        try:
            columns = _columns(name, next(table, []))
            number = table.line_num
            for cells in table:
                number = table.line_num
                if any(cells[len(columns) :]):
                    raise BadInputError(f"{name} line {number}: has more cells than the first line names")
                if any(map(str.strip, cells)):
                    yield number, {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
        except csv.Error as error:
            raise BadInputError(f"{name} after line {number}: is no table: {error}") from None


def _has_semicolons(name: str, header: str) -> bool:
    """Tell whether semicolons stand between the names of the columns, as in most of Europe."""
    names = [column.strip() for column in next(csv.reader([header], delimiter=";"), [])]
    if len(names) < 2 or "," in re.sub('"[^"]*"', "", header):
        return False
    if KNOWN.isdisjoint(names):
        raise BadInputError(f"{name}: seems to be separated by semicolons; save it with commas")
    return True


def _columns(name: str, header: list[str]) -> list[str]:
    """Return the names of the columns; those without one at the end of the line are what a spreadsheet leaves there."""
    columns = header[: max((place for place, column in enumerate(header, start=1) if column.strip()), default=0)]
    for place, column in enumerate(columns, start=1):
        if not column.strip():
            raise BadInputError(f"{name} line 1: column {place} has no name; name it or remove it")
        if column in columns[: place - 1]:
            raise BadInputError(f"{name} line 1: two columns are called {shown(column)}; rename one of them")
    return columns
