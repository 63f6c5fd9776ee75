"""How much a service takes, learned from what it refuses: how many requests at once, how many a second.

A service that admits so many at once, or so many a second, answers all others with 429. Neither number is known. This
module finds both, as congestion control does for a network: many refusals in a row are a limit, and what was admitted
meanwhile is its size; single ones are chance, and slow down nobody else. A limit is tried upwards again after a while.
Pure bookkeeping: the caller says what time it is, and nothing here waits.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from flowkit.model.ceiling import Ceiling

# A new service is asked for 16 at once; twice as many each time that all are sent and 0.05 s have brought no refusal.
FIRST_AT_ONCE, FIRST_STEP_S, FIRST_STEP_AFTER_REFUSAL_S = 16, 0.05, 0.2
# Each refusal counts 1, each admitted request between two of them takes LEAK off: up to 13 % refused are chance.
LEAK = 0.15
SIGNS, SIGNS_WHILE_TRYING = 2.5, 1.5  # so high a count is a limit; a lower one while a higher limit is tried
REST_S = 0.1  # a place whose request was refused stays empty so long: the next would be refused too
STEP_S, STEP_REQUESTS, LONGEST_STEP_S = 0.2, 6, 1.0  # a step upwards each 0.2 s, and at low rates each 6 requests
MARGIN = 0.98  # of a measured rate is asked for
PART = 0.3  # of the way from the rate that was held to the one that was refused: the service may have saved some up
FAR_RATE = 1.3  # but no such caution where the rate that was refused is so much higher
GENEROUS = 1.15  # the rate is surely not the limit that was found: leave it room
LEAST_PER_S = 0.5
MEASURED_S = 2.5  # a rate is the mean over at least so long, else what was admitted in the last second
CLOSED_S, LONGEST_PAUSE_S = 0.25, 60.0  # the first pause where nothing at all is admitted, doubled each time


@dataclass(eq=False)
class Try:
    """One sending of one request. number: in the order of sending. beside: how many were open, itself included.

    started_s: when it got its place. posted_s: when it was sent, a little later on a busy machine; None before.
    """

    number: int
    started_s: float
    beside: int
    posted_s: float | None = None
    refused: bool = False


class Limits:
    """The limits of one service as far as they are known, and the requests under way.

    most: what the caller allows at once. A request gets its place (`sent`), goes out (`posted`), is `admitted` or
    `refused`, and has `ended`; `wait_s` says when the next one may go.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._at_once, self._per_s = Ceiling(), Ceiling()
        self._open: dict[Try, None] = {}  # sent, and neither refused nor ended, in the order of sending
        self._resting = deque[float]()  # when a place becomes free whose request was refused
        self._last_second = deque[Try]()
        self._sent = self._posted = 0
        self._start_at_once, self._start_next_s = float(FIRST_AT_ONCE), 0.0
        self._next_send_s, self._paused_until_s = -math.inf, -math.inf
        # Since the last time that a limit was found:
        self._found_s = -math.inf
        self._count, self._last_refused = 0.0, 0
        self._room: float = math.inf
        self._most_open, self._most_last_second = 0.0, 0.0
        self._refused_since = 0
        self._rate_bound = False
        self._first_s = self._since_s = 0.0  # the first request; since when `_admitted` counts
        self._admitted = 0
        self._closed = 0  # how often in a row nothing was admitted in between
        self._told_s = self._refused_s = math.inf  # the earliest time that a Retry-After named, and when it did

    @property
    def under_way(self) -> int:
        """How many requests are open."""
        return len(self._open)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until one more request may be sent: 0 for now, infinity for when one has ended."""
        while self._resting and self._resting[0] <= now_s:
            self._resting.popleft()
        if now_s < self._paused_until_s:
            return self._paused_until_s - now_s
        busy = len(self._open) + len(self._resting)
        if busy >= self.most:
            return self._resting[0] - now_s if self._resting else math.inf
        if busy >= self._start_at_once:  # a new service: twice as many each step
            if not self._start_next_s and self._sent - self._posted <= self._start_at_once / 4:
                self._start_next_s = now_s + FIRST_STEP_S
            if not self._start_next_s or now_s < self._start_next_s:
                return max(self._start_next_s - now_s, FIRST_STEP_S / 2)
            self._start_at_once *= 2
            self._start_next_s = 0.0
        if busy + 1 > max(1, self._at_once.value):
            self._at_once.rise(now_s, 1, STEP_S)
        if busy + 1 > max(1, self._at_once.value):
            next_s = min(self._at_once.next_s, *self._resting) if self._resting else self._at_once.next_s
            return max(next_s - now_s, 0.001)
        if now_s < self._next_send_s:
            self._rate_bound = True
            self._per_s.rise(now_s, 0, min(max(STEP_S, STEP_REQUESTS / self._per_s.value), LONGEST_STEP_S))
            return self._next_send_s - now_s
        return 0.0

    def sent(self, now_s: float) -> Try:
        """Note that a request is sent."""
        if not self._sent:
            self._since_s = self._first_s = now_s
        self._sent += 1
        each_s = 1 / self._per_s.value
        self._next_send_s = max(self._next_send_s, now_s - 0.02) + each_s
        this = Try(self._sent, now_s, len(self._open) + 1)
        self._open[this] = None
        self._admitted += 1
        return this

    def is_out_of_date(self, this: Try) -> bool:
        """Say whether a limit was found between getting the place and sending."""
        return this.started_s <= self._found_s

    def posted(self, this: Try, now_s: float) -> None:
        """Note that a request with a place is on its way."""
        this.posted_s = now_s
        self._posted += 1
        self._last_second.append(this)

    def admitted(self, this: Try, now_s: float) -> None:
        """Note that the service has begun to answer."""
        self._closed = 0
        if this.started_s > self._refused_s:
            self._told_s = self._refused_s = math.inf
        if this.started_s > self._found_s:
            self._most_open = max(self._most_open, this.beside)
            self._most_last_second = max(self._most_last_second, self._in_last_second(now_s))

    def ended(self, this: Try) -> None:
        """Note that the request is over, however it ended."""
        self._posted += this.posted_s is None
        this.posted_s = this.posted_s or 0.0
        self._open.pop(this, None)

    def withdrawn(self, this: Try) -> None:
        """Note that a request was not sent after all."""
        self._posted += this.posted_s is None
        self._open.pop(this, None)
        this.refused = True
        if this.started_s > self._since_s:
            self._admitted -= 1

    def refused(self, this: Try, now_s: float, retry_after_s: float | None) -> None:
        """Note a 429."""
        self._open.pop(this, None)
        this.refused = True
        if this.started_s > self._since_s:
            self._admitted -= 1
        self._resting.append(now_s + REST_S)
        if retry_after_s is not None and now_s + retry_after_s < self._told_s:
            self._told_s, self._refused_s = now_s + retry_after_s, now_s
        if this.started_s <= self._found_s:
            return  # of a limit that has been found already
        between = max(0, this.number - self._last_refused - 1)
        self._last_refused = max(self._last_refused, this.number)
        self._count = max(0.0, self._count - LEAK * between) + 1
        if self._count > 1:
            self._start_next_s = now_s + FIRST_STEP_AFTER_REFUSAL_S
        self._room = min(self._room, sum(other.number < this.number for other in self._open))
        trying = self._at_once.is_trying or self._per_s.is_trying
        signs = SIGNS if not trying else SIGNS_WHILE_TRYING if self._refused_since else 1
        if not trying:
            self._refused_since += 1
        if self._closed:
            self._pause(now_s)
        elif self._count >= signs:
            if self._lower(now_s):
                self._found_s, self._count, self._room = now_s, 0.0, math.inf
                return
            debt_s = self._in_last_second(now_s) / self._per_s.value - 1
            self._pause(now_s, min(max(debt_s, REST_S), 1.0))

    def _lower(self, now_s: float) -> bool:
        """Lower what was found to be a limit, or both where it can be either, to what was admitted.

        Return whether it is surely how many at once: then those that end make room, and no pause is needed. How many
        at once it cannot be where a request was refused while fewer were open than were admitted before.
        """
        last_second = self._in_last_second(now_s)
        at_once = self._room >= max(1, 0.85 * self._most_open)  # 0.85: some have ended, and we do not know yet
        trying = self._at_once.is_trying and not self._per_s.is_trying
        surely_at_once = at_once and trying and self._room <= self._at_once.kept
        rate = self._measured_rate(now_s, last_second)
        if at_once:
            self._at_once.lower(self._room, now_s, rate)
        if surely_at_once:
            self._resting.clear()  # as many as are open may be, so nothing is to wait for
            rate = self._per_s.value
        elif at_once and not self._rate_bound:
            rate = max(last_second, self._most_last_second) / min(max(now_s - self._first_s, 0.05), 1)
        elif self._per_s.is_trying and not self._refused_since:
            kept = self._per_s.kept
            rate = MARGIN * last_second if last_second >= FAR_RATE * kept else kept + PART * (last_second - kept)
        else:
            rate = min(MARGIN * rate, self._per_s.value)
            if self._per_s.is_trying:
                rate = max(rate, MARGIN * min(self._per_s.kept, last_second))
        if not at_once or last_second >= 0.8 * self._most_last_second:
            rate = max(rate, LEAST_PER_S)
            self._per_s.lower(rate, now_s, rate)
            if now_s - self._since_s >= 1:
                self._since_s, self._admitted = now_s, 0
        self._most_open = self._room if at_once else 0.7 * self._most_open
        self._most_last_second = last_second
        self._start_at_once = math.inf
        self._refused_since, self._rate_bound = 0, False
        return surely_at_once

    def _measured_rate(self, now_s: float, last_second: int) -> float:
        """Return what was admitted a second since the last limit: nothing was saved up then, nor is now."""
        passed_s = now_s - self._since_s
        mean = self._admitted / passed_s if passed_s >= MEASURED_S else float(last_second)
        return mean if mean * FAR_RATE >= last_second else float(last_second)

    def _pause(self, now_s: float, pause_s: float = REST_S) -> None:
        """Let nobody be sent for a moment, and for longer where nothing was admitted since the last time."""
        if self._closed:
            told_s = self._told_s - now_s if math.isfinite(self._told_s) else 0.0
            pause_s = max(told_s, CLOSED_S * 2**self._closed)
            self._told_s = self._refused_s = math.inf
        if not self._open:
            self._closed += 1
        self._paused_until_s = max(self._paused_until_s, now_s + min(pause_s, LONGEST_PAUSE_S))
        self._found_s, self._count, self._room = now_s, 0.0, math.inf

    def _in_last_second(self, now_s: float) -> int:
        while self._last_second and (self._last_second[0].refused or (self._last_second[0].posted_s or 0) < now_s - 1):
            self._last_second.popleft()
        return sum(not each.refused for each in self._last_second)
