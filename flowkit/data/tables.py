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
_QUOTES = 'a cell that begins with a quote (") must end with one, and double each between'
_SEPARATOR = re.compile(r'"?sep=([,;|\t])"?\s*', re.IGNORECASE)


def rows_of_table(name: str, separator: str, file: IO[bytes], encoding: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row as {column: cell} with the number of its last line; blank rows and empty cells are left out.

    separator: between the cells; in place of commas semicolons and tabs are read too, where the header leaves no doubt,
    and what Excel's first line names, such as sep=;. Blank lines before the header are passed over, and blanks around
    its names; where it has blanks after its separators, so may the rows.
    Raises BadInputError for what is no table, and for a column without a name or with that of another one. So too where
    a cell in quotation marks has the tabs and line breaks of rows: likely a file in which a quote is only a quote.
    """
    csv.field_size_limit(2**31 - 1)  # 128 KiB otherwise
    with io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        header, separator, number = _header(text, separator)
        if separator == ",":
            separator = _separator_of(name, header)
        blanks = f"{separator} " in header
        table = csv.reader(chain([header], text), delimiter=separator, strict=True, skipinitialspace=blanks)
        before = number
        try:
            columns = _columns(f"{name} line {number + 1}", next(table, []))
            number = before + table.line_num
            for cells in table:
                number = before + table.line_num
                if separator == "\t" and _are_joined(cells, len(columns)):
                    raise BadInputError(f"{name} line {number}: a cell seems to hold several rows; {_QUOTES}")
                if any(cells[len(columns) :]):
                    raise BadInputError(f"{name} line {number}: has more cells than the first line names")
                if any(cell.strip().strip("\x1a") for cell in cells):  # DOS ends a file with that
                    yield number, {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
        except csv.Error as error:
            hint = f"; {_QUOTES}" if re.search("expected after|end of data", str(error)) else ""
            raise BadInputError(f"{name} after line {number}: is no table: {error}{hint}") from None


def _header(text: IO[str], separator: str) -> tuple[str, str, int]:
    """Return the line that names the columns, what separates them, and how many lines stand before it."""
    passed_over = 0
    while line := text.readline():
        if named := _SEPARATOR.fullmatch(line):
            separator = named[1]
        elif line.strip(",; \t\r\n"):
            break
        passed_over += 1
    return line, separator, passed_over


def _separator_of(name: str, header: str) -> str:
    """Return what stands between the names of the columns: a comma, in much of Europe a semicolon, or a tab."""
    if "," in re.sub('"[^"]*"', "", header):
        return ","
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        names = [column.strip().lower() for column in next(csv.reader([header], delimiter=separator), [])]
        if len(names) > 1:
            if KNOWN.isdisjoint(names):
                raise BadInputError(f"{name}: seems to be separated by {called}; save it with commas")
            return separator
    return ","


def _are_joined(cells: list[str], columns: int) -> bool:
    """Tell whether a cell holds the ends of rows, or has swallowed the cells after it, as a quote in front does."""
    long = [cell for cell in cells if "\n" in cell and "\t" in cell]
    return any(len(cells) < columns or cell.count("\t") == cell.count("\n") * (columns - 1) for cell in long)


def _columns(where: str, header: list[str]) -> list[str]:
    """Return the names of the columns; those without one at the end of the line are what a spreadsheet leaves there."""
    names = [column.strip() for column in header]
    columns = names[: max((place for place, column in enumerate(names, start=1) if column), default=0)]
    for place, column in enumerate(columns, start=1):
        if not column:
            raise BadInputError(f"{where}: column {place} has no name; name it or remove it (pandas: index=False)")
        if column in columns[: place - 1]:
            raise BadInputError(f"{where}: two columns are called {shown(column)}; rename one of them")
    return columns
