"""A checklist: how its file is read, which lines its statements join, and how their columns are filled in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.base.errors import BadInputError
from flowkit.data.checklist import Checklist, Item, columns_of, joined, read_checklist, scalar
from flowkit.data.lines import read_lines
from flowkit.data.records import Line, Rule

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
YAML = """
correctness: It names the capital.
price:
  statement: "It says that the price is {price}."
  when: {topic: shop, sold: true}
  weight: 2
  needs: [question]
  scale: pass
"""


def read(tmp_path: Path, content: str, name: str = "checklist.yaml") -> Checklist:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read_checklist(path)


def line(**columns: Any) -> Line:
    statements = columns.pop("statements", {})
    return Line(1, columns.pop("question", "What?"), [], statements, extra=columns)


@pytest.mark.parametrize(
    ("said", "cell", "fits"),
    [
        *(("true", "True", True), ("true", "TRUE ", True), ("true", "false", False), ("2024", "2024.0", True)),
        *(("2024", "2024.5", False), ("shop", "Shop", False), ("'2024'", "2024", True), ("2024.0", "2024", True)),
    ],
)
def test_when_reads_cells_as_data_frames_and_spreadsheets_write_them(
    tmp_path: Path, said: str, cell: str, fits: bool
) -> None:
    (tmp_path / "lines.csv").write_text(f"question,topic\nWhat?,{cell}\nWho?,{said}\n")
    checklist = read(tmp_path, f"a: {{statement: b, when: {{topic: {said}}}}}")
    first = read_lines(tmp_path / "lines.csv", checklist=checklist)[0]
    assert bool(first.statements) == fits


def test_a_checklist_reads_the_same_from_yaml_and_json(tmp_path: Path) -> None:
    found = read(tmp_path, YAML)
    assert found == {
        "correctness": Item("It names the capital.", Rule(weight=1.0), (), {}),
        "price": Item(
            "It says that the price is {price}.",
            Rule("pass", 2.0),
            ("question",),
            {"topic": "shop", "sold": "true"},
        ),
    }
    price = {"statement": found["price"].text, "when": {"topic": "shop", "sold": True}, "weight": 2, "scale": "pass"}
    written = {"correctness": "It names the capital.", "price": {**price, "needs": ["question"]}}
    assert read(tmp_path, json.dumps(written), "checklist.json") == found


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "expected statements by name, such as correctness: .*, got None"),
        ("- It is short.", "expected statements by name"),
        ("a: 5", "statement 'a' must be text, or an object with 'statement', got 5"),
        ("a: {weight: 2}", "statement 'a' must be text, or an object with 'statement'"),
        ("1: It is short.", "the name of a statement, 1, must be text, got int"),
        ("' ': It is short.", "a statement has no name"),
        (
            "a: {statement: b, scael: pass}",
            "statement 'a' has 'scael'; known are statement, weight, needs, when, scale",
        ),
        ("a: {statement: b, scale: ten}", "statement 'a': scale must be '1 to 5' or 'pass', got 'ten'"),
        ("a: {statement: b, scale: [pass]}", "statement 'a': scale must be"),
        ("a: {statement: b, weight: -1}", "statement 'a': weight must be a number from 0 on, got -1"),
        ("a: {statement: b, weight: true}", "statement 'a': weight must be a number"),
        ("a: {statement: b, weight: .inf}", "statement 'a': weight must be a number"),
        ("a: {statement: b, needs: [answer]}", "statement 'a': needs must be a list of question and reference"),
        ("a: {statement: b, when: shop}", "statement 'a': when must be an object of column to value, got 'shop'"),
        ("a: {statement: b, when: {topic: [x]}}", "statement 'a': when must be an object"),
        ("a: 'It has {.'", "statement 'a': a '{' stands alone; a column is written {column}, a brace twice: {{"),
        ("a: 'It has {}.'", "statement 'a': a '{' stands alone"),
        ("a: 'It has {b}}.'", "statement 'a': a '}' stands alone"),
        ("a: b\na: c", 'is no YAML: found duplicate key "a"'),
        ("a: [b", "is no YAML: .* \\(line 1\\)"),
    ],
)
def test_what_is_no_checklist_is_told(content: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=complaint.replace("{", r"\{").replace("[", r"\[")):
        read(tmp_path, content)


def test_a_json_file_is_read_as_strictly(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'a' stands there twice; rename one of them"):
        read(tmp_path, '{"a": "b", "a": "c"}', "checklist.json")
    with pytest.raises(BadInputError, match=r"checklist.json: Expecting value: line 1 column 1"):
        read(tmp_path, "a: b", "checklist.json")
    with pytest.raises(BadInputError, match="is nested too deep"):
        read(tmp_path, "[" * 100_000, "checklist.json")
    with pytest.raises(BadInputError, match="cannot be read: No such file"):
        read_checklist(tmp_path / "nowhere.json")


def test_a_statement_joins_the_lines_that_it_is_for(tmp_path: Path) -> None:
    checklist = read(tmp_path, YAML)
    sold = joined(line(topic="shop", sold=True, price=12.5, statements={"own": "{as it is}"}), checklist)
    assert sold.statements == {
        "own": "{as it is}",
        "correctness": "It names the capital.",
        "price": "It says that the price is 12.5.",
    }
    assert sold.rules == {"own": Rule(weight=1.0), "correctness": Rule(weight=1.0), "price": Rule("pass", 2.0)}
    for other in (line(topic="shop"), line(topic="geo", sold=True)):
        assert list(joined(other, checklist).statements) == ["correctness"]
    without_weights = read(tmp_path, "a: b")
    assert joined(line(statements={"own": "x"}), without_weights).rules == {}


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"question": "Q"}, "line 1: statement 'cost' names the column 'price'; the line has 'question'"),
        ({"question": "Q", "price": None}, "line 1: statement 'cost' names the column 'price'"),
        ({"question": "Q", "price": 3}, "line 1: statement 'right' needs 'reference', and there is none"),
        ({"question": "Q", "price": 3, "reference": " "}, "line 1: statement 'right' needs 'reference'"),
        (
            {"question": "Q", "price": 3, "reference": "R", "statements": {"cost": "It is dear."}},
            "line 1: the line and the checklist both have a statement 'cost'",
        ),
        ({"question": "Q", "price": "\ud83d", "reference": "R"}, "line 1: statement 'cost': character 15 is half of a"),
    ],
)
def test_a_line_that_a_statement_cannot_join_is_bad_input_with_its_number(
    columns: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    checklist = read(tmp_path, 'cost: "The price is a {price}."\nright: {statement: b, needs: [reference]}')
    data = tmp_path / "lines.jsonl"
    data.write_text(json.dumps(columns))
    with pytest.raises(BadInputError, match=complaint):
        read_lines(data, checklist=checklist)


@given(TEXTS, TEXTS)
def test_filled_text_stays_text(price: str, question: str) -> None:
    found = joined(line(question=question, price=price), {"a": Item("{{{price}}} {question}{price}")})
    assert found.statements == {"a": "{" + price + "} " + question + price}


def test_columns_that_nobody_reads_are_kept_as_plain_values(tmp_path: Path) -> None:
    data = tmp_path / "lines.jsonl"
    data.write_text('{"question": "Q", "n": 1, "x": NaN, "yes": true, "list": [1, {"a": "é"}], "none": null}')
    (found,) = read_lines(data)
    assert found.extra == {"n": 1, "x": None, "yes": True, "list": '[1, {"a": "é"}]', "none": None}
    assert columns_of(found) == {"n": "1", "yes": "true", "list": '[1, {"a": "é"}]', "question": "Q"}
    assert scalar(b"x") == "b'x'"
