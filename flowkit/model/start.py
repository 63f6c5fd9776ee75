"""How a service is asked that is not known yet: for a few answers at once, then for twice as many, and again."""

from __future__ import annotations

import math

# For 24 at once; twice as many each time that all are sent and 0.05 s have brought no refusal.
FIRST_AT_ONCE, STEP_S, STEP_AFTER_REFUSAL_S = 24, 0.05, 0.2


class Start:
    """How many may be under way while no limit is known."""

    def __init__(self) -> None:
        self._at_once, self._next_s = float(FIRST_AT_ONCE), 0.0

    @property
    def is_over(self) -> bool:
        """Say whether a limit is known."""
        return self._at_once == math.inf

    def wait_s(self, now_s: float, busy: int, not_posted: int) -> float:
        """Return the seconds until one more may be sent. not_posted: of the `busy`, those not yet on their way."""
        if busy < self._at_once:
            return 0.0
        if not self._next_s and not_posted <= self._at_once / 4:
            self._next_s = now_s + STEP_S
        if not self._next_s or now_s < self._next_s:
            return max(self._next_s - now_s, STEP_S / 2)
        self._at_once *= 2
        self._next_s = 0.0
        return 0.0

    def refused(self, now_s: float) -> None:
        """Note that some were refused: it may be a limit, so take no step yet."""
        self._next_s = now_s + STEP_AFTER_REFUSAL_S

    def end(self) -> None:
        """Note that a limit is known."""
        self._at_once = math.inf
