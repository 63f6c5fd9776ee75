"""What was sent to a service: each try of a request, and how many of the last second were not refused."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

ON_ITS_WAY_S = 0.06  # from the decision to send to the service, where many are sent at the same moment


@dataclass(eq=False)
class Try:
    """One sending of one request. number: in the order of sending.

    started_s: when it got its place. posted_s: when it was sent, a little later on a busy machine; infinite before.
    beside: how many were in flight then, itself included.
    """

    number: int
    started_s: float
    posted_s: float = math.inf
    beside: int = 0
    refused: bool = False


class LastSecond:
    """The tries that were sent within one second, whose refusals come later than they."""

    def __init__(self) -> None:
        self._tries = deque[Try]()
        self._refused = 0  # of these

    def sent(self, this: Try) -> None:
        """Note that it is on its way."""
        self._tries.append(this)

    def refuse(self, this: Try) -> None:
        """Note that it was refused, or not sent at all."""
        this.refused = True
        if self._tries and self._tries[0].posted_s <= this.posted_s < math.inf:
            self._refused += 1

    def oldest_leaves_s(self, now_s: float) -> float:
        """Return the seconds until the oldest of them is a second old at the service, where it came a little later."""
        oldest_s = next((each.posted_s for each in self._tries if not each.refused), None)
        return 0.0 if oldest_s is None else oldest_s + ON_ITS_WAY_S + 1 - now_s

    def admitted(self, now_s: float) -> int:
        """Return how many were sent in the last second and have not been refused so far."""
        while self._tries and self._tries[0].posted_s < now_s - 1:
            self._refused -= self._tries.popleft().refused
        return len(self._tries) - self._refused

    def admitted_since(self, since_s: float) -> int:
        """Return how many of them were sent after `since_s`."""
        return sum(since_s < each.posted_s and not each.refused for each in self._tries)
