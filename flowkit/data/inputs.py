"""The inputs that a prompt has of its own: which columns of a data file fill them, and of what kind they are."""

from __future__ import annotations

import json
from typing import Any

from flowkit.base.json_text import JsonObject, read_json
from flowkit.base.text import check_text, is_nothing, shown
from flowkit.prompt.history import read_history
from flowkit.prompt.prompty import Prompt

OF_EVERY_LINE = ("question", "chat_history")  # what a chat prompt is given anyway
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "double": (int, float),
    "bool": (bool,),
    "list": (list,),
    "object": (dict,),
}  # by promptflow's names


def own_inputs(prompt: Prompt) -> list[str]:
    """Return the names of the inputs that a line fills besides question and history."""
    return [name for name in prompt.inputs if name not in OF_EVERY_LINE]


def read_inputs(fields: JsonObject, prompt: Prompt) -> JsonObject:
    """Return what a line's fields give to the prompt's own inputs; an input with a default may be left out.

    Raises TypeError or ValueError that names the first one that is missing, or of another kind than declared.
    """
    for name in OF_EVERY_LINE:
        if name not in prompt.inputs and (name == "question" or read_history(fields.get(name))):
            raise ValueError(f"{name!r} is no input of {prompt.file}, so the answer could not heed it")
    kinds = {name: prompt.types.get(name, "") for name in own_inputs(prompt)}
    found = {name: fields[name] for name, kind in kinds.items() if not _is_absent(fields.get(name), kind)}
    for name in own_inputs(prompt):
        if name not in found and name not in prompt.defaults:
            columns = ", ".join(map(shown, fields))
            raise ValueError(
                f"{name!r} is missing, an input of {prompt.file} without a default; the line has {columns}"
            )
    return {name: _checked(value, name, kinds[name]) for name, value in found.items()}


def _is_absent(value: Any, kind: str) -> bool:
    """Tell whether a line has no such value. A text is one unless it is blank; a number that says NaN is none."""
    return not value.strip() if isinstance(value, str) and kind in ("", "string") else is_nothing(value)


def _checked(value: Any, name: str, kind: str) -> Any:
    expected = KINDS.get(kind)
    if isinstance(value, str) and expected and str not in expected:  # a cell of a table
        value = _from_cell(value, kind)
    if kind == "int" and isinstance(value, float) and value.is_integer():  # as data frames write it
        value = int(value)
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and kind != "bool")):
        raise TypeError(f"{name!r} must be of type {kind}, as the prompt says, got {shown(value)}")
    check_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), f"{name!r}")
    return value


def _from_cell(text: str, kind: str) -> Any:
    try:
        return read_json(text.lower() if kind == "bool" else text)
    except ValueError:
        return text
