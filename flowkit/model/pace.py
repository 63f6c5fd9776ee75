"""How many requests are in flight at a service: a fixed limit, fewer for a while after it said "too many"."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class Pace:
    """A turn-taking for the requests of one event loop to one service.

    limit: the most requests in flight, None for no limit.
    A 429 halves how many may be in flight and lets nobody start until the service's Retry-After is over; every
    request that ends well adds its share back, so that the full speed returns after a few rounds.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._allowed = float(limit or 0)
        self._in_flight = 0
        self._paused_until_s = 0.0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block: a whole stream."""
        if self._limit is None:
            yield
            return
        async with self._freed:
            await self._freed.wait_for(lambda: self._in_flight < int(self._allowed))
            self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            async with self._freed:
                self._freed.notify_all()

    async def pause_over(self) -> None:
        """Wait until the service may be asked again; every try waits here, the client's retries too."""
        while (left_s := self._paused_until_s - time.monotonic()) > 0:  # noqa: ASYNC110 - it may grow meanwhile
            await asyncio.sleep(left_s)

    def too_many(self, retry_after_s: float | None) -> None:
        """Note a 429."""
        if self._limit is None:
            return
        pause_s = min(max(retry_after_s or 0, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        now_s = time.monotonic()
        if now_s >= self._paused_until_s:  # one wave of 429s is one sign
            self._allowed = max(1.0, min(self._allowed, self._in_flight) / 2)
        self._paused_until_s = max(self._paused_until_s, now_s + pause_s)

    def went_well(self) -> None:
        """Note a request that the service took."""
        if self._limit is not None and self._allowed < self._limit:
            self._allowed = min(self._limit, self._allowed + 1 / self._allowed)
