"""A checklist: statements for all lines of a data file, with texts that a line's columns fill."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from flowkit.base.errors import BadInputError
from flowkit.base.json_text import once
from flowkit.base.scale import FIVE, scale_named
from flowkit.base.text import check_text, in_one_line, shown
from flowkit.data.records import Line, Rule, Scalar

EXAMPLE = 'correctness: "It names the capital."'
KEYS = ("statement", "weight", "needs", "when", "scale")
NEEDED = ("question", "reference")  # what a statement may need of its line
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


@dataclass(frozen=True)
class Item:
    """One statement of a checklist.

    text: with `{column}` where a column of the line belongs, `{{` and `}}` for braces. needs: columns without which no
    line can be judged. when: for which lines it is, by the values of columns, as text.
    """

    text: str
    rule: Rule = field(default_factory=Rule)
    needs: tuple[str, ...] = ()
    when: Mapping[str, str | None] | None = None


Checklist = Mapping[str, Item]


def read_checklist(path: Path) -> Checklist:
    """Return the statements of a JSON or YAML file by name. Raises BadInputError for what is no checklist."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        found = json.loads(content, object_pairs_hook=once) if path.suffix == ".json" else _yaml(content)
        if not isinstance(found, dict) or not found:
            raise TypeError(f"expected statements by name, such as {EXAMPLE}, got {shown(found)}")
        return _weighed({name: _item(name, each) for name, each in found.items()})
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{path}: expected UTF-8, got other bytes; save it as UTF-8") from None
    except RecursionError:
        raise BadInputError(f"{path}: is nested too deep; expected statements by name, such as {EXAMPLE}") from None
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{path}: {error}") from None


def joined(line: Line, checklist: Checklist) -> Line:
    """Return the line with the statements of the checklist that are for it, filled, after its own.

    Raises ValueError where it has a statement of the same name, or lacks a column that one names or needs.
    """
    if twice := [name for name in line.statements if name in checklist]:
        raise ValueError(
            f"the line and the checklist both have a statement {shown(twice[0])}; rename one of them, or take it out"
        )
    columns = columns_of(line)
    mine = {name: item for name, item in checklist.items() if _is_for(item, columns)}
    statements = {name: _filled(name, item, columns) for name, item in mine.items()}
    weighs = any(item.rule.weight is not None for item in checklist.values())
    own = dict.fromkeys(line.statements, Rule(weight=1.0)) if weighs else {}
    rules = {name: item.rule for name, item in mine.items() if item.rule != Rule()}
    return replace(line, statements={**line.statements, **statements}, rules={**own, **rules})


def columns_of(line: Line) -> dict[str, str]:
    """Return the columns of a line as text, without those that hold nothing."""
    answer = line.answer.text if line.answer else None
    inputs = {name: scalar(value) for name, value in line.inputs.items()}
    columns = {**line.extra, **inputs, "question": line.question, "answer": answer, "reference": line.reference}
    return {name: text for name, value in columns.items() if (text := as_text(value)) is not None}


def as_text(value: Scalar) -> str | None:
    """Return a value as text, as JSON writes it; None for nothing."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def scalar(value: Any) -> Scalar:
    """Return what a column holds as a plain value of JSON: a list or an object as JSON text, NaN as None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (list, dict)) else str(value)


def _weighed(checklist: Checklist) -> Checklist:
    """Return the same with a weight of 1 where there is none, if any statement has one."""
    if all(item.rule.weight is None for item in checklist.values()):
        return checklist
    rules = {name: item.rule for name, item in checklist.items()}
    return {
        name: replace(item, rule=replace(rules[name], weight=1.0)) if rules[name].weight is None else item
        for name, item in checklist.items()
    }


def _item(name: Any, found: Any) -> Item:
    check_text(name, f"the name of a statement, {shown(name)},")
    if not name.strip():
        raise ValueError(f"a statement has no name; for example {EXAMPLE}")
    fields = {"statement": found} if isinstance(found, str) else found
    where = f"statement {shown(name)}"
    if not isinstance(fields, dict) or "statement" not in fields:
        raise TypeError(f"{where} must be text, or an object with 'statement', got {shown(found)}")
    if unknown := [key for key in fields if key not in KEYS]:
        raise ValueError(f"{where} has {shown(unknown[0])}; known are {', '.join(KEYS)}")
    check_text(fields["statement"], where)
    _check_places(where, fields["statement"])
    rule = Rule(_scale(where, fields.get("scale", FIVE.name)), _weight(where, fields.get("weight")))
    return Item(fields["statement"], rule, _needs(where, fields.get("needs", [])), _when(where, fields.get("when", {})))


def _check_places(where: str, text: str) -> None:
    if brace := re.search("[{}]", _PLACE.sub("", text)):
        raise ValueError(
            f"{where}: a {brace[0]!r} stands alone; a column is written {{column}}, a brace twice: {2 * brace[0]}"
        )


def _scale(where: str, found: Any) -> str:
    try:
        return scale_named(found if isinstance(found, str) else shown(found)).name
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _weight(where: str, found: Any) -> float | None:
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found < math.inf:
        raise ValueError(f"{where}: weight must be a number from 0 on, got {shown(found)}")
    return float(found)


def _needs(where: str, found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(each in NEEDED for each in found):
        raise ValueError(f"{where}: needs must be a list of {' and '.join(NEEDED)}, got {shown(found)}")
    return tuple(found)


def _when(where: str, found: Any) -> Mapping[str, str | None]:
    if not isinstance(found, dict) or any(isinstance(value, (list, dict)) for value in found.values()):
        raise ValueError(f"{where}: when must be an object of column to value, got {shown(found)}")
    return {str(column): _folded(as_text(scalar(value))) for column, value in found.items()}


def _is_for(item: Item, columns: Mapping[str, str]) -> bool:
    return all(_folded(columns.get(column)) == value for column, value in (item.when or {}).items())


def _folded(value: str | None) -> str | None:
    """Return True and TRUE as true, 2024.0 as 2024: so spreadsheets and data frames write them."""
    if value is None:
        return None
    lowered = value.strip().lower()
    return lowered if lowered in ("true", "false") else re.sub(r"^(-?\d+)\.0+$", r"\1", value)


def _filled(name: str, item: Item, columns: Mapping[str, str]) -> str:
    """Put the columns' texts in; what has been put in is not looked at again.

    A line that lacks what a statement needs is refused, not passed over: without the statement its mean would rise.
    """
    if missing := [column for column in item.needs if not columns.get(column, "").strip()]:
        raise ValueError(f"statement {shown(name)} needs {missing[0]!r}, and there is none; {_has(columns)}")

    def put_in(place: re.Match[str]) -> str:
        if (column := place[1]) is None:
            return place[0][0]  # a brace
        if column not in columns:
            raise ValueError(f"statement {shown(name)} names the column {shown(column)}; {_has(columns)}")
        return columns[column]

    filled = _PLACE.sub(put_in, item.text)
    check_text(filled, f"statement {shown(name)}")
    return filled


def _has(columns: Mapping[str, str]) -> str:
    return f"the line has {', '.join(map(shown, columns))}"


def _yaml(content: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(content)
    except MarkedYAMLError as error:
        place = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"is no YAML: {in_one_line(error.problem or '', 200)}{place}") from None
    except YAMLError as error:
        raise ValueError(f"is no YAML: {in_one_line(str(error), 200)}") from None
