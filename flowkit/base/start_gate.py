"""Work of a millisecond, done by a hundred answers at once, leaves the event loop room in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

SHARE_S = 0.004  # of a turn of the loop; all else that is ready goes between


async def in_turn() -> None:
    """Wait until there is room for a millisecond's work at this turn of the loop, in the order the callers came."""
    await _doors.setdefault(asyncio.get_running_loop(), _Door()).enter()


class _Door:
    """Lets in, at each turn, as many as will be done within `SHARE_S`, by how long those before them took."""

    def __init__(self) -> None:
        self._waiting = deque[asyncio.Future[None]]()
        self._closed = False
        self._let_in, self._since_s, self._each_s = 0, 0.0, SHARE_S

    async def enter(self) -> None:
        """Come in now, if nobody else has at this turn, or wait."""
        loop = asyncio.get_running_loop()
        if self._closed:
            place = loop.create_future()
            self._waiting.append(place)
            await place
        else:
            self._closed = True
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Let the next ones in; this runs right after those of the turn before."""
        if self._let_in:
            took_s = (time.perf_counter() - self._since_s) / self._let_in
            self._each_s = max(took_s, 0.95 * self._each_s)  # not all do the same work
        loop = asyncio.get_running_loop()
        loop.call_soon(self._start_clock)
        self._let_in = min(len(self._waiting), max(1, int(SHARE_S / self._each_s)))
        for place in [self._waiting.popleft() for _ in range(self._let_in)]:
            if not place.done():  # who was cancelled does not come
                place.set_result(None)
        self._closed = self._let_in > 0
        if self._closed:
            loop.call_soon(self._turn)

    def _start_clock(self) -> None:
        self._since_s = time.perf_counter()


_doors: WeakKeyDictionary[asyncio.AbstractEventLoop, _Door] = WeakKeyDictionary()
