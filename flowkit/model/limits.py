"""How much a service takes, learned from what it refuses: how many requests at once, how many a second.

A service that admits so many at once, or so many a second, answers all others with 429. Neither number is known. This
module finds both, as congestion control does for a network: many refusals in a row are a limit, and what was admitted
meanwhile is its size; single ones are chance (`Signs`), and slow down nobody else. A limit is tried upwards again after
a while, one of the two at a time. Pure bookkeeping: the caller says what time it is, and nothing here waits.
"""

from __future__ import annotations

import math
from collections import deque

from flowkit.model.ceiling import Ceiling
from flowkit.model.pauses import Pause
from flowkit.model.signs import Signs
from flowkit.model.start import Start
from flowkit.model.tries import LastSecond, Try

REST_S = 0.1  # a place whose request was refused stays empty so long: the next would be refused too
STEP_S, STEP_REQUESTS, LONGEST_STEP_S = 0.2, 6, 1.0  # a step upwards each 0.2 s, and at low rates each 6 requests
# What is refused near the end of a run still waits when all others are done. So no higher limit is tried where no new
# request has come for NEWCOMER_S and those that wait are done within WORK_LEFT_S, and of N places N // SPARE stay free.
NEWCOMER_S, WORK_LEFT_S, SPARE = 0.2, 2.0, 32
# So much of what was admitted before counts as no less: of a rate, which is measured over one second only, and of how
# many were in flight, of which some have ended at the service and we do not know yet, so one less besides.
SAME, SAME_AT_ONCE = 0.9, 0.98
MARGIN = 0.98  # of a measured rate is asked for
PART = 0.1  # of the way from the rate that was held to the one that was refused: the service may have saved some up
CATCH_UP_S = 0.02  # a request that goes out late is made up for by the next, so much of it
LEAST_PER_S = 0.5
MEASURED_S = 2.5  # a mean over less says little
LATELY_S, LATELY = 0.15, 10  # but while a service refuses what is too much, so long and so many are enough


class Limits:
    """The limits of one service as far as they are known, and the requests under way.

    most: what the caller allows at once. start: is over once a limit is known. A request `came`, gets its place
    (`sent`), goes out (`posted`), is `admitted` or `refused`, and has `ended`; `wait_s` says when the next may go.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._at_once, self._per_s = Ceiling(), Ceiling()
        self._open = set[Try]()  # sent, and neither refused nor ended
        self._resting = deque[float]()  # when a place becomes free whose request was refused
        self._last_second = LastSecond()
        self.start, self._pause, self._signs = Start(), Pause(), Signs()
        self._sent = self._posted = 0  # `_posted`: or over without it
        self._came_s = self._next_send_s = -math.inf
        self._first_s = self._since_s = 0.0  # the first request; since when `_admitted` counts
        self._admitted = 0
        # Since the last time that a limit was found:
        self._found_s = -math.inf
        self._most_in_flight, self._most_last_second = 0.0, 0.0  # with which one was admitted

    @property
    def under_way(self) -> int:
        """How many requests are open."""
        return len(self._open)

    def came(self, now_s: float) -> None:
        """Note that there is a new request."""
        self._came_s = now_s

    def wait_s(self, now_s: float, waiting: int) -> float:
        """Return the seconds until one of `waiting` may be sent: 0 for now, infinity for when one has ended."""
        while self._resting and self._resting[0] <= now_s:
            self._resting.popleft()
        if (pause_s := self._pause.wait_s(now_s)) > 0:
            return pause_s
        busy = len(self._open) + len(self._resting)
        is_near_end = self._is_near_end(now_s, waiting)
        if busy >= self.most or (is_near_end and busy + 1 > self._places(is_near_end=True)):
            return self._resting[0] - now_s if self._resting else math.inf
        if (start_s := self.start.wait_s(now_s, busy, self._sent - self._posted)) > 0:
            return start_s
        if busy + 1 > self._places():
            self._try_more(self._at_once, now_s)
        if busy + 1 > self._places():
            return max(min(self._at_once.next_s, *self._resting, math.inf) - now_s, 0.001)
        if now_s < self._next_send_s:
            if not is_near_end:
                self._try_more(self._per_s, now_s)
            return self._next_send_s - now_s
        return 0.0

    def _is_near_end(self, now_s: float, waiting: int) -> bool:
        return waiting < WORK_LEFT_S * self._last_second.admitted(now_s) and now_s > self._came_s + NEWCOMER_S

    def _places(self, is_near_end: bool = False) -> float:
        """Return how many may be under way."""
        most = self._at_once.value
        return max(1, most - most // SPARE if is_near_end and most < math.inf else most)

    def _try_more(self, ceiling: Ceiling, now_s: float) -> None:
        """Take a step upwards, unless the other ceiling is just being tried."""
        if ceiling is self._at_once:
            other, least, step_s = self._per_s, 1, STEP_S
        else:
            other, least = self._at_once, 0
            step_s = min(max(STEP_S, STEP_REQUESTS / self._per_s.value), LONGEST_STEP_S)
        if not (other.is_tried(now_s) and now_s < other.next_s):
            ceiling.rise(now_s, least, step_s)

    def sent(self, now_s: float) -> Try:
        """Note that a request is sent."""
        if not self._sent:
            self._since_s = self._first_s = now_s
        self._sent += 1
        self._signs.sent(is_held=not self._tried(now_s))
        self._next_send_s = max(self._next_send_s, now_s - CATCH_UP_S) + 1 / self._per_s.value
        this = Try(self._sent, now_s)
        self._open.add(this)
        self._pause.sent(this)
        self._admitted += 1
        return this

    def is_out_of_date(self, this: Try) -> bool:
        """Say whether a limit was found between getting the place and sending."""
        return this.started_s <= self._found_s

    def posted(self, this: Try, now_s: float) -> None:
        """Note that a request with a place is on its way."""
        self._posted += this.posted_s == math.inf  # one may be posted again, without a parameter that was refused
        this.posted_s, this.beside = now_s, len(self._open) - (self._sent - self._posted)
        self._last_second.sent(this)

    def admitted(self, this: Try, now_s: float) -> None:
        """Note that the service has begun to answer."""
        self._pause.admitted(this)
        if this.started_s > self._found_s:
            self._most_in_flight = max(self._most_in_flight, this.beside)
            self._most_last_second = max(self._most_last_second, self._last_second.admitted(now_s))

    def ended(self, this: Try) -> None:
        """Note that the request is over, however it ended."""
        self._posted += this.posted_s == math.inf
        self._open.discard(this)

    def withdrawn(self, this: Try) -> None:
        """Note that a request was not sent after all."""
        self._posted += this.posted_s == math.inf
        self._not_admitted(this)

    def refused(self, this: Try, now_s: float, retry_after_s: float | None) -> None:
        """Note a 429."""
        self._not_admitted(this)
        self._resting.append(now_s + REST_S)
        self._pause.refused(this, now_s, retry_after_s)
        if this.started_s <= self._found_s:
            return  # of a limit that has been found already
        is_held = not self._tried(now_s)
        self._signs.refused(this, is_held)
        if self._signs.is_more_than_one:
            self.start.refused(now_s)
        is_edge = not is_held and self._signs.is_one_enough and self._is_above_kept(this, now_s)
        if self._pause.again or is_edge or self._signs.are_many:
            self._found(now_s)
            self._signs.found(is_held)

    def _not_admitted(self, this: Try) -> None:
        self._open.discard(this)
        self._last_second.refuse(this)
        if this.started_s > self._since_s:
            self._admitted -= 1

    def _tried(self, now_s: float) -> Ceiling | None:
        """Return the ceiling that a refusal is laid to, where one has just been tried upwards."""
        last = max(self._at_once, self._per_s, key=lambda ceiling: ceiling.risen_s)
        return last if last.is_tried(now_s) else None

    def _is_above_kept(self, this: Try, now_s: float) -> bool:
        """Say whether more were in flight, or sent in the last second, than a limit allows that was found."""
        admitted = self._last_second.admitted(now_s)
        return admitted >= SAME * self._per_s.kept or this.beside >= SAME_AT_ONCE * self._at_once.kept

    def _found(self, now_s: float) -> None:
        """Lower what was found to be a limit, and pause as long as the service has to recover.

        Where it is how many at once, those that end make room, and no pause is needed. Where the first one after
        a pause is refused, the service may count what it has admitted in the last second.
        """
        last_second = self._last_second.admitted(now_s)
        if self._pause.again and not last_second:
            self._pause.begin_closed(now_s, self._sent)
        elif self._lower(now_s, last_second):
            excess_s = last_second / self._per_s.value - 1
            pause_s = self._last_second.oldest_leaves_s(now_s) if self._pause.again else excess_s
            self._pause.begin(now_s, pause_s, self._sent)
        else:
            self._resting.clear()
        self._found_s = now_s

    def _lower(self, now_s: float, last_second: int) -> bool:
        """Lower a limit to what was admitted, or both where it can be either; return whether the rate was lowered.

        It is not how many at once where a request was refused with fewer in flight than one was admitted with before;
        not how many a second where fewer were admitted in the last second. Where it can be either, it is the one that
        was exceeded of two that are known, or else the one that was just tried.
        """
        is_at_once = self._signs.room >= max(1, SAME_AT_ONCE * self._most_in_flight - 1)
        is_rate = not is_at_once or last_second >= SAME * self._most_last_second
        if is_at_once and is_rate and (blamed := self._exceeded(last_second) or self._tried(now_s)):
            is_at_once, is_rate = blamed is self._at_once, blamed is self._per_s
        rate = self._measured_rate(now_s, last_second)
        if is_at_once:
            self._at_once.lower(self._signs.room, now_s, rate)
            self._most_in_flight = self._signs.room
        if is_rate:
            rate = max(self._lowered_rate(now_s, last_second, rate, is_at_once), LEAST_PER_S)
            self._per_s.lower(rate, now_s, rate)
            if now_s - self._since_s >= 1:
                self._since_s, self._admitted = now_s, 0
        self._at_once.risen_s = self._per_s.risen_s = -math.inf  # no trial is under way
        if not self._pause.again:
            self._most_last_second = last_second
        self.start.end()
        return is_rate

    def _exceeded(self, last_second: int) -> Ceiling | None:
        """Return the ceiling that was found before and exceeded now, where it is one of them alone."""
        is_at_once, is_rate = self._signs.room >= self._at_once.kept, last_second >= MARGIN * self._per_s.kept
        if math.inf in (self._at_once.kept, self._per_s.kept) or is_at_once == is_rate:
            return None
        return self._at_once if is_at_once else self._per_s

    def _lowered_rate(self, now_s: float, last_second: int, rate: float, is_at_once: bool) -> float:
        """Return the requests a second to ask for from now on. rate: what was measured."""
        kept = self._per_s.kept
        if is_at_once and kept == math.inf:  # perhaps no limit at all: as fast as it went so far
            return max(last_second, self._most_last_second) / min(max(now_s - self._first_s, 0.05), 1)
        if self._tried(now_s) is self._per_s and last_second >= SAME * kept:
            if last_second > kept:
                return kept + PART * (last_second - kept)
            return min(rate, kept if not self._signs.held_refused else MARGIN * kept)
        if self._pause.again:  # fewer were sent in the last second because we paused
            return min(MARGIN * self._most_last_second, kept)
        return min(MARGIN * rate, self._per_s.value)

    def _measured_rate(self, now_s: float, last_second: int) -> float:
        """Return how many are admitted a second; where many were refused since the last limit, only since then."""
        lately, lately_s = self._last_second.admitted_since(self._found_s), now_s - self._found_s
        if LATELY_S <= lately_s <= 1 and lately >= LATELY and self._signs.are_many and not self._tried(now_s):
            return lately / lately_s
        passed_s = now_s - self._since_s
        return max(self._admitted / passed_s if passed_s >= MEASURED_S else 0.0, last_second)
