"""The named statements that an answer is judged by."""

from __future__ import annotations

from typing import Any

from flowkit.base.json_text import read_json
from flowkit.base.text import check_text, is_nothing, shown

EXAMPLE = '{"correctness": "It names the capital."}'


def read_statements(statements: Any) -> dict[str, str]:
    """Return {name: statement} from that, or from the same as JSON text (a cell of a CSV file).

    None, and what tables and files put where a line has none (`is_nothing`), is no statement, alone and under a name.
    Raises ValueError or TypeError that says what came instead.
    """
    if is_nothing(statements):
        return {}
    if isinstance(statements, str):
        try:
            statements = read_json(statements)
        except ValueError as error:
            raise ValueError(f"'statements' is no JSON ({error}); for example {EXAMPLE}") from None
    if not isinstance(statements, dict):
        expected = f"an object of name to text, got {shown(statements)}"
        raise TypeError(f"'statements' must be {expected}; for example {EXAMPLE}")
    named = {name: text for name, text in statements.items() if isinstance(text, str) or not is_nothing(text)}
    for name, statement in named.items():
        check_text(name, "the name of a statement")
        if not name.strip():
            raise ValueError(f"statement {shown(statement)} has no name; for example {EXAMPLE}")
        check_text(statement, f"statement {shown(name)}")
    return named
