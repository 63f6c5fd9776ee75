"""The named statements that an answer is judged by."""

from __future__ import annotations

import json
from typing import Any

from flowkit.base.text import check_text, shown

EXAMPLE = '{"correctness": "It names the capital."}'


def read_statements(statements: Any) -> dict[str, str]:
    """Return {name: statement} from that, or from the same as JSON text (a cell of a CSV file).

    Raises ValueError or TypeError that says what came instead.
    """
    if isinstance(statements, str):
        try:
            statements = json.loads(statements)
        except json.JSONDecodeError as error:
            raise ValueError(f"'statements' is no JSON ({error}); for example {EXAMPLE}") from None
    if not isinstance(statements, dict):
        expected = f"an object of name to text, got {shown(statements)}"
        raise TypeError(f"'statements' must be {expected}; for example {EXAMPLE}")
    for name, statement in statements.items():
        check_text(name, "the name of a statement")
        check_text(statement, f"statement {shown(name)}")
    return dict(statements)
