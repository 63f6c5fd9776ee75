"""The scale of a score: what a judge may give, what counts as a pass."""

from __future__ import annotations

SCORES = range(1, 6)  # 1: the statement does not apply; 5: it applies fully
PASS_MARK = 4  # a statement scored 4 or 5 holds


def as_score(value: object) -> int | None:
    """Return the score that `value` is (4.0 is one, as data frames turn 4 into it), or None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value in SCORES:
        return int(value)
    return None
