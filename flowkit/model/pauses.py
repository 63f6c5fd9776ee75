"""How long nothing is sent to a service that has just refused: a moment, and longer where it is closed to everybody."""

from __future__ import annotations

import math

from flowkit.model.tries import Try

# The first pause where nothing at all is admitted, doubled each time, seven times at most; a Retry-After is kept to
# where it is longer.
CLOSED_S, MOST_DOUBLED, LONGEST_PAUSE_S = 0.5, 7, 60.0


class Pause:
    """The time until which nothing is sent. is_again: the last one that was refused was the first after a pause."""

    def __init__(self) -> None:
        self.until_s = -math.inf
        self.is_again = False
        self._last_before = -1  # the number of the last request that was sent before the pause
        self._closed = 0  # how many pauses of a closed service there were since anything was admitted
        self._told_until_s = self._told_s = math.inf  # the earliest end that a Retry-After named, and when it did

    def refused(self, this: Try, now_s: float, retry_after_s: float | None) -> None:
        """Note a refusal and its Retry-After."""
        self.is_again = this.number == self._last_before + 1
        if retry_after_s is not None and now_s + retry_after_s < self._told_until_s:
            self._told_until_s, self._told_s = now_s + retry_after_s, now_s

    def admitted(self, started_s: float) -> None:
        """Note that a request which got its place at `started_s` was admitted."""
        self._closed = 0
        if started_s > self._told_s:
            self._told_until_s = self._told_s = math.inf

    def begin(self, now_s: float, pause_s: float, sent: int) -> None:
        """Send nothing for `pause_s`. sent: how many requests were sent so far."""
        self._last_before = sent
        self.until_s = max(self.until_s, now_s + pause_s)

    def begin_closed(self, now_s: float, sent: int) -> None:
        """Send nothing to a closed service until the earliest time that it has named, or for a pause that doubles."""
        told_s = self._told_until_s - now_s if math.isfinite(self._told_until_s) else 0.0
        self._told_until_s = self._told_s = math.inf
        doubled_s = CLOSED_S * 2 ** min(self._closed, MOST_DOUBLED)
        self._closed += 1
        self.begin(now_s, min(max(told_s, doubled_s), LONGEST_PAUSE_S), sent)
