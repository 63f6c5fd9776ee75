"""How long nothing is sent to a service that has just refused: a moment, and longer where it is closed to everybody."""

from __future__ import annotations

import math

from flowkit.model.tries import Try

# The first pause where nothing at all is admitted, doubled each time, five times at most; a Retry-After is kept to
# where it is longer.
CLOSED_S, MOST_DOUBLED, LONGEST_PAUSE_S = 0.5, 5, 60.0
LEAST_S = 0.08  # where a rate was too high; doubled too, where that is too short
ALONE_S = 0.05  # by then the first one after a pause is mostly refused, if it is


class Pause:
    """The time until which nothing is sent.

    again: how many pauses in a row were too short, as the first request after each was refused.
    """

    def __init__(self) -> None:
        self.until_s = -math.inf
        self.again = 0
        self._last_before = -1  # the number of the last request that was sent before the pause
        self._first_s = math.inf  # when the first one after it was sent
        self._closed = 0  # how many pauses of a closed service there were since anything was admitted
        self._told_until_s = self._told_s = math.inf  # the earliest end that a Retry-After named, and when it did

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until one may be sent; after two that were too short the first goes alone."""
        is_alone = self.again > 1 and self._first_s < math.inf
        return max(self.until_s, self._first_s + ALONE_S if is_alone else 0.0) - now_s

    def sent(self, this: Try) -> None:
        """Note that a request is sent."""
        if this.number == self._last_before + 1:
            self._first_s = this.started_s

    def refused(self, this: Try, now_s: float, retry_after_s: float | None) -> None:
        """Note a refusal and its Retry-After. One that was sent before the pause says nothing about it."""
        if this.number > self._last_before:
            self.again = self.again + 1 if this.number == self._last_before + 1 else 0
        if retry_after_s is not None and now_s + retry_after_s < self._told_until_s:
            self._told_until_s, self._told_s = now_s + retry_after_s, now_s

    def admitted(self, this: Try) -> None:
        """Note that a request was admitted."""
        self._closed = 0
        if this.number > self._last_before:
            self.again = 0
        if this.started_s > self._told_s:
            self._told_until_s = self._told_s = math.inf

    def begin(self, now_s: float, pause_s: float, sent: int) -> None:
        """Send nothing for about `pause_s`, a second at most. sent: how many requests were sent so far."""
        least_s = LEAST_S * 2 ** min(max(0, self.again - 1), MOST_DOUBLED)
        self._begin(now_s, min(max(pause_s, least_s), 1.0), sent)

    def begin_closed(self, now_s: float, sent: int) -> None:
        """Send nothing to a closed service until the earliest time that it has named, or for a pause that doubles."""
        told_s = self._told_until_s - now_s if math.isfinite(self._told_until_s) else 0.0
        self._told_until_s = self._told_s = math.inf
        doubled_s = CLOSED_S * 2 ** min(self._closed, MOST_DOUBLED)
        self._closed += 1
        self._begin(now_s, min(max(told_s, doubled_s), LONGEST_PAUSE_S), sent)

    def _begin(self, now_s: float, pause_s: float, sent: int) -> None:
        self._last_before, self._first_s = sent, math.inf
        self.until_s = max(self.until_s, now_s + pause_s)
