"""How many answers may start in one iteration of the event loop.

Starting an answer takes a millisecond of the processor. A hundred that start in one iteration hold up, for a tenth of
a second, every answer that is being read. So they start a few at a time, and what else is ready runs in between.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

SHARE_S = 0.002  # the time that starts may take of one iteration of the loop


async def in_turn() -> None:
    """Wait until this iteration of the loop has time for one more start; callers start in the order they came."""
    await _gates.setdefault(asyncio.get_running_loop(), StartGate()).enter()


class StartGate:
    """Lets as many callers start per iteration of one loop as `SHARE_S` allows, by how long the last starts took."""

    def __init__(self) -> None:
        self._waiting = deque[asyncio.Future[None]]()
        self._closed = False  # somebody has started in this iteration
        self._started, self._since_s, self._each_s = 0, 0.0, SHARE_S

    async def enter(self) -> None:
        """Return at once for the first caller of an iteration; let all others wait in line."""
        loop = asyncio.get_running_loop()
        if self._closed:
            place = loop.create_future()
            self._waiting.append(place)
            await place
        else:
            self._closed = True
            loop.call_soon(self._next_iteration)

    def _next_iteration(self) -> None:
        """Measure the starts of the iteration before, which have just run, and let the next callers start."""
        if self._started:
            took_s = (time.perf_counter() - self._since_s) / self._started
            self._each_s = max(took_s, 0.95 * self._each_s)  # starts take different times: forget long ones slowly
        loop = asyncio.get_running_loop()
        loop.call_soon(self._start_clock)
        self._started = min(len(self._waiting), max(1, int(SHARE_S / self._each_s)))
        for place in [self._waiting.popleft() for _ in range(self._started)]:
            if not place.done():  # a cancelled caller does not start
                place.set_result(None)
        self._closed = self._started > 0
        if self._closed:
            loop.call_soon(self._next_iteration)

    def _start_clock(self) -> None:
        self._since_s = time.perf_counter()


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, StartGate] = WeakKeyDictionary()
