"""The scale of a score: what a judge may give, what counts as a pass."""

from __future__ import annotations

from numbers import Integral

SCORES = range(1, 6)  # 1: the statement does not apply; 5: it applies fully
PASS_MARK = 4  # a statement scored 4 or 5 holds


_WRITTEN = {str(score): score for score in SCORES}


def as_score(value: object) -> int | None:
    """Return the score that `value` is, or None.

    Data frames turn 4 into 4.0 or into an integer of numpy, and the tutorial's own judge writes "4"; each is a 4.
    """
    if isinstance(value, str):
        return _WRITTEN.get(value.strip())
    if isinstance(value, (Integral, float)) and not isinstance(value, bool) and value in SCORES:
        return int(value)
    return None
