"""The lines of a data file, as JSONL, CSV and TSV, in every shape that is usable."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
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
        ("data.csv", 'question\n"a\n', 'end of data; a cell that begins with a quote (") must end with one'),
        ("data.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "got a pointer of Git LFS; fetch"),
        ("data.jsonl", '{"question": "A"}\r{"question": "B"}\r', "its lines end with CR: save it with line feeds"),
        # As in GLUE's and other files, which quote nothing.
        ("d.tsv", 'question\treference\n"Hamlet" is by whom?\tS\n', 'a cell that begins with a quote (") must end'),
        (
            "d.tsv",
            'question\treference\n"Who\tA\nWhy?\tB\nHow?\tC"\nI?\tD\n',
            "line 4: a cell seems to hold several rows",
        ),
        ("d.tsv", 'question\treference\n"Who\tA\nWhy"\tB\nHow?\tC\n', "line 3: a cell seems to hold several rows"),
        ("data.csv", "Frage\tKontext\na\tb\n", "data.csv: seems to be separated by tabs; save it with commas"),
        ("data.csv", "question,statements\na,{bad\n", "data.csv line 2: 'statements' is no JSON"),
        ("data.csv", "question\n", "is empty; expected a line that names the columns, and rows below it"),
        ("data.csv", "question,statements\n,\n", "is empty"),
        ("data.csv", "a,question\n1,a,b\n", "data.csv line 2: has more cells than the first line names"),
        ("data.csv", "question,,\na,,b\n", "data.csv line 2: has more cells than the first line names"),
        ("data.csv", ",question\n0,a\n", "data.csv line 1: column 1 has no name; name it or remove it"),
        ("data.csv", "question,question\na,b\n", "data.csv line 1: two columns are called 'question'"),
        ("data.csv", "Frage;Kontext\na;b\n", "data.csv: seems to be separated by semicolons; save it with commas"),
        ("data.csv", "sep=;\nquestion;question\na;b\n", "data.csv line 2: two columns are called 'question'"),
        ("data.csv", "question,Statements\na,b\n", "data.csv line 2: 'Statements': did you mean 'statements'?"),
        ("data.csv", "Question;Chat History\na;b\n", "data.csv line 2: 'Question': did you mean 'question'?"),
        ("data.jsonl", '{"question": "a", " statements": {}}', "line 1: ' statements': did you mean 'statements'?"),
        ("data.jsonl", '{"question": "a", "question": "b"}', "line 1: 'question' stands there twice; rename one"),
        ("data.jsonl", '{"question": "a", "statements": {"b": "c", "b": "d"}}', "line 1: 'b' stands there twice"),
        ("data.csv", "question,statements\na,{'b': 'c'}\n", "looks like Python's notation; write it with json.dumps"),
        ("data.csv", "question,a;b\na,\n,\nb\n\n,c,d", "data.csv line 6: has more cells"),
        ("data.csv", "statements,question\nnull,\n", "data.csv line 2: 'question' is missing"),
        ("data.jsonl", '[{"question": "a"}]\n', "got an array; write each of its objects on a line of its own"),
        ("data.jsonl", '[\n  {"question": "a"}\n]\n', "line 1: expected a JSON object such as"),
        ("data.json", '{\n  "question": "a"\n}\n', "; write the whole object on one line"),
        ("data.jsonl", '{"question": null}', "line 1: 'question' must be text, got NoneType"),
        ("data.jsonl", '{"question": "\\ud800"}', "line 1: 'question': character 0 is half of a surrogate pair"),
        ("data.jsonl", '{"question": "a", "statements": {" ": "b"}}', "line 1: statement 'b' has no name"),
        ("data.jsonl", '{"question": "a", "statements": {"b": 5}}', "line 1: statement 'b' must be text, got int"),
        ("data.jsonl", "1" * 5000, "line 1: expected a JSON object"),
        ("data.jsonl", "[" * 30_000, "line 1: expected a JSON object"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInputError) as refused:
        read_lines(tmp_path / name)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 500


DEEP, LONG = "[" * 1000 + "]" * 1000, "9" * 5000


@pytest.mark.parametrize(
    ("value", "says"), [(DEEP, "it is nested more than 100 deep"), (LONG, "has 5000 digits; write it as text")]
)
@pytest.mark.parametrize(
    ("field", "within"),
    [
        ("question", False),
        ("of nobody", False),
        *((field, within) for field in ("chat_history", "statements") for within in (False, True)),
    ],
)
def test_a_value_beyond_all_measure_is_told_with_its_column(
    tmp_path: Path, field: str, within: bool, value: str, says: str
) -> None:
    path, value = tmp_path / "data.jsonl", json.dumps(value) if within else value
    path.write_text(f'{{"question": "a"}}\n{{"x": "[[[[", "question": "a", "{field}": {value}}}\n')
    with pytest.raises(BadInputError) as refused:
        read_lines(path)
    assert str(refused.value).startswith(f"{path} line 2: ")
    assert says in str(refused.value)
    assert " column " in str(refused.value)
    assert "set_int_max" not in str(refused.value)


def test_a_text_full_of_brackets_is_not_deep(tmp_path: Path) -> None:
    question = '\\"[{' * 1000 + "9" * 5000
    (tmp_path / "data.jsonl").write_text(json.dumps({"question": question, "chat_history": TURN * 200}))
    assert read_lines(tmp_path / "data.jsonl")[0].question == question


@pytest.mark.parametrize("nothing", ["null", "NaN", '"null"', '"NaN"', '"nan"', '"None"', '""', '" "'])
def test_nothing_is_none_in_all_its_spellings(tmp_path: Path, nothing: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(f'{{"question": "a", "chat_history": {nothing}, "statements": {nothing}}}\n')
    assert said(read_lines(path)) == [{"question": "a", "chat_history": [], "statements": {}}]


@pytest.mark.parametrize(
    ("reference", "found"), [('"Paris."', "Paris."), ('"null"', "null"), ("null", None), ("NaN", None), ('" "', None)]
)
def test_a_reference_is_text_or_left_out(tmp_path: Path, reference: str, found: str | None) -> None:
    (tmp_path / "data.jsonl").write_text(f'{{"question": "a", "reference": {reference}}}\n')
    assert read_lines(tmp_path / "data.jsonl")[0].reference == found
    (tmp_path / "data.jsonl").write_text('{"question": "a", "reference": ["b"]}\n')
    with pytest.raises(BadInputError, match=r"line 1: 'reference' must be text, got list"):
        read_lines(tmp_path / "data.jsonl")


@pytest.mark.parametrize("nothing", ["null", "NaN"])
def test_a_statement_that_is_nothing_is_left_out(tmp_path: Path, nothing: str) -> None:
    statements = f'{{"short": "It is short.", "names": {nothing}, "says": "null", "blank": ""}}'
    (tmp_path / "data.jsonl").write_text(f'{{"question": "a", "statements": {statements}}}\n')
    assert read_lines(tmp_path / "data.jsonl")[0].statements == {"short": "It is short.", "says": "null", "blank": ""}


@pytest.mark.parametrize("nothing", ["null", "NaN", "nan", "None", " ", ""])
def test_nothing_in_a_table_is_none_but_for_a_question(tmp_path: Path, nothing: str) -> None:
    rows = [{"question": nothing or "a", "chat_history": nothing, "statements": nothing}, ROWS[0]]
    path = in_table(tmp_path / "data.csv", rows)
    assert said(read_lines(path))[-1] == ROWS[0]
    if nothing != " ":  # a row of blanks is none
        assert said(read_lines(path))[0] == {"question": nothing or "a", "chat_history": [], "statements": {}}


def test_what_stands_where_files_were_joined_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"question": "One?"}\n\ufeff{"question": "Two?"}\n\x1a')
    assert [line.question for line in read_lines(tmp_path / "data.jsonl")] == ["One?", "Two?"]
    (tmp_path / "data.csv").write_text("question\nOne?\n\x1a")
    assert [line.question for line in read_lines(tmp_path / "data.csv")] == ["One?"]


def test_rows_of_empty_cells_are_no_lines(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text('question,statements,,\n,,,\nOne?,,,\n, ,,\n"","",,\n\nTwo?,\n,,,\n')
    assert [(line.number, line.question) for line in read_lines(tmp_path / "data.csv")] == [(3, "One?"), (7, "Two?")]


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("header", ["question;chat_history;statements", '"question";"a, b";"statements"'])
def test_semicolons_and_tabs_are_read_where_the_header_leaves_no_doubt(
    tmp_path: Path, header: str, separator: str
) -> None:
    row = f'Hi, you?{separator * 2}"{{""short"": ""It is short; or not.""}}"'
    (tmp_path / "data.csv").write_text(f"{header.replace(';', separator)}\n{row}\n")
    (line,) = read_lines(tmp_path / "data.csv")
    assert (line.question, line.statements) == ("Hi, you?", {"short": "It is short; or not."})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(("suffix", "write"), [(".jsonl", in_jsonl), (".csv", in_table), (".tsv", in_table)])
def test_other_encodings_are_read_by_their_mark_or_named(
    tmp_path: Path, suffix: str, write: Any, encoding: str
) -> None:
    path = write(tmp_path / f"data{suffix}", ROWS, encoding)
    if encoding in ("utf-16", "utf-32"):  # Python writes a byte-order mark for these alone
        assert said(read_lines(path)) == ROWS
    else:
        with pytest.raises(BadInputError) as refused:
            read_lines(path)
        kind = encoding.upper()[:6]
        assert str(refused.value) == (f"{path}: expected UTF-8, got {kind} without a byte-order mark; save it as UTF-8")
        mark = "\ufeff".encode(encoding)
        path.write_bytes(mark + path.read_bytes())
        assert said(read_lines(path)) == ROWS


PEAK = """
import resource, sys
from pathlib import Path
from flowkit.data.lines import read_lines
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_lines(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_line_of_20_megabytes_takes_a_few_times_its_size(tmp_path: Path) -> None:
    path = in_jsonl(tmp_path / "data.jsonl", [{"question": "Hi, you?\n" * (2 * 2**20)}])
    run = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 4 * path.stat().st_size  # 2.6 when this was written


@pytest.mark.slow
def test_thirty_thousand_lines_take_memory_by_their_length_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    with path.open("w") as file:
        for number in range(30_000):
            file.write(json.dumps({"question": f"What is Prompt flow, for reader {number}?"}) + "\n")
    tracemalloc.start()
    try:
        lines = read_lines(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(lines), lines[-1].number, lines[-1].question[-6:]) == (30_000, 30_000, "29999?")
    assert peak < 30_000 * 1000


def test_a_line_of_a_megabyte_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"question": "a" * 2**20}) + "\n")
    assert read_lines(path)[0].question == "a" * 2**20
