"""The lines of a data file, as JSONL, CSV and TSV, in every shape that is usable."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.base.errors import BadInputError
from flowkit.data.lines import read_lines
from flowkit.data.records import Line

TURN = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS: list[dict[str, Any]] = [
    {"question": "One?", "chat_history": TURN, "statements": {"short": "It is short."}},
    {"question": 'Two,\n"quoted"\tand\u2028all?', "chat_history": [], "statements": {}},
]


def in_table(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8", end: str = "\r\n") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        table = csv.DictWriter(
            file, ["question", "chat_history", "statements"], delimiter=delimiter, lineterminator=end
        )
        table.writeheader()
        for row in rows:
            table.writerow({name: cell if isinstance(cell, str) else json.dumps(cell) for name, cell in row.items()})
    return path


def in_jsonl(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8", end: str = "\n") -> Path:
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_bytes(end.join([*lines, ""]).encode(encoding))
    return path


def said(lines: list[Line]) -> list[dict[str, Any]]:
    return [{"question": x.question, "chat_history": x.chat_history, "statements": x.statements} for x in lines]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("suffix", "write"), [(".jsonl", in_jsonl), (".csv", in_table), (".tsv", in_table)])
def test_all_formats_say_the_same(tmp_path: Path, suffix: str, write: Any, encoding: str, end: str) -> None:
    assert said(read_lines(write(tmp_path / f"data{suffix}", ROWS, encoding, end))) == ROWS


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=5))
@settings(max_examples=50)
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, questions: list[str]) -> None:
    path = in_jsonl(tmp_path_factory.mktemp("data") / "data.jsonl", [{"question": text} for text in questions])
    assert [line.question for line in read_lines(path)] == questions


def test_a_line_of_a_megabyte_is_a_line_in_every_format(tmp_path: Path) -> None:
    rows = [{"question": "x" * 2**20, "chat_history": [], "statements": {}}]
    for write, name in ((in_jsonl, "data.jsonl"), (in_table, "data.csv")):
        assert said(read_lines(write(tmp_path / name, rows))) == rows


def test_a_line_has_the_number_that_an_editor_shows(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('\n{"question": "a"}\n\n\n{"question": "b"}')
    assert [line.number for line in read_lines(tmp_path / "data.jsonl")] == [2, 5]


def test_what_a_table_leaves_empty_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("question,chat_history,statements\nOne?,,\nTwo?\n")
    assert said(read_lines(tmp_path / "data.csv")) == [
        {"question": question, "chat_history": [], "statements": {}} for question in ("One?", "Two?")
    ]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("data.csv", "question\na,b\n", "data.csv line 2: has more cells than the first line names"),
        ("data.csv", "answer\na\n", "data.csv line 2: 'question' is missing; the line has 'answer'"),
        ("data.csv", 'question\n"a\n', "data.csv after line 1: is no table"),
        ("data.csv", "question,statements\na,{bad\n", "data.csv line 2: 'statements' is no JSON"),
        ("data.csv", "question\n", "is empty"),
        ("data.jsonl", "1" * 5000, "line 1: expected a JSON object"),
        ("data.jsonl", "[" * 100_000, "line 1: expected a JSON object"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInputError) as refused:
        read_lines(tmp_path / name)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_hundred_thousand_lines_take_memory_by_their_length_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    with path.open("w") as file:
        for number in range(100_000):
            file.write(json.dumps({"question": f"What is Prompt flow, for reader {number}?"}) + "\n")
    tracemalloc.start()
    try:
        lines = read_lines(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(lines), lines[-1].number, lines[-1].question[-6:]) == (100_000, 100_000, "99999?")
    assert peak < 100_000 * 1000


def test_a_line_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"question": "a" * 2**20}) + "\n")
    assert read_lines(path)[0].question == "a" * 2**20
