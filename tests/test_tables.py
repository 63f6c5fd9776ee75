"""Tables as spreadsheets and people write them, and files that are no text."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import pytest

from flowkit.base.errors import BadInputError
from flowkit.data.lines import read_lines


@pytest.mark.parametrize(
    "content",
    [
        'question, statements , reference\nHi, "{""a"": ""It is short.""}", x\n',
        'question; statements; reference\nHi; "{""a"": ""It is short.""}"; x\n',
        'sep=;\r\nquestion;statements;reference\r\nHi;"{""a"": ""It is short.""}";x\r\n',
        'sep=,\r\nquestion,statements,reference\r\nHi,"{""a"": ""It is short.""}",x\r\n',
        '"sep=|"\r\n"question"|"statements"|"reference"\r\nHi|"{""a"": ""It is short.""}"|x\r\n',
        'SEP=\t\nquestion\tstatements\treference\nHi\t"{""a"": ""It is short.""}"\tx\n',
        '\r\n ,,\r\nquestion,statements,reference\r\nHi,"{""a"": ""It is short.""}",x\r\n',
    ],
)
def test_what_spreadsheets_and_people_write_around_the_header_is_no_column(tmp_path: Path, content: str) -> None:
    (tmp_path / "data.csv").write_bytes(content.encode())
    (line,) = read_lines(tmp_path / "data.csv")
    assert (line.question, line.statements, line.reference) == ("Hi", {"a": "It is short."}, "x")
    assert line.number == len(content.splitlines())


def test_a_blank_before_a_cell_stays_where_the_header_has_none(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("question,answer\nHi, Paris.\n")
    (line,) = read_lines(tmp_path / "data.csv")
    assert line.answer
    assert line.answer.text == " Paris."


def packed(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as workbook:
        workbook.writestr("xl/workbook.xml", "<workbook/>")
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "gz", "xlsx", "parquet"])
def test_a_file_that_is_no_text_is_called_what_it_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    kinds = {
        "a file packed by bzip2; unpack it with bunzip2": bz2.compress(b'{"question": "a"}'),
        "a file packed by xz; unpack it with unxz": lzma.compress(b'{"question": "a"}'),
        "a file packed by Zstandard; unpack it with unzstd": b"\x28\xb5\x2f\xfd\x04",
        "a file packed by gzip; unpack it with gunzip": gzip.compress(b'{"question": "a"}'),
        "a workbook of a spreadsheet, or another zip file; save it as CSV UTF-8": packed(tmp_path / "a.zip"),
        "a Parquet file; --engine ray reads it where its name ends in .parquet": b"PAR1\x15\x04\x15\x00PAR1",
    }
    for says, content in kinds.items():
        path.write_bytes(content)
        with pytest.raises(BadInputError) as refused:
            read_lines(path)
        assert str(refused.value) == f"{path}: expected JSONL or a table, as text, got {says}"
