"""Places at a service: who may send a request now, who waits in line, and how a refused request asks again."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import openai

from flowkit.base.start_gate import in_turn
from flowkit.model.errors import is_loading, is_overloaded
from flowkit.model.limits import Limits
from flowkit.model.tries import Try
from flowkit.model.waits import again_after_s, may_ask_again, retry_after_s

log = logging.getLogger(__name__)
Reply = TypeVar("Reply")
LOADING_S = 1.0  # between two questions to a server that loads its model, which may take minutes


class Pace:
    """The line of the requests of one event loop to one service.

    limit: the most requests in flight, None for no limit and no line.
    patience_s: a Retry-After longer than this is not waited for.
    Places are given in the order of asking. A request that is refused with 429 gives its place back, waits as it was
    told and then stands first in line, as often as it takes: only the caller ends it, by cancelling. What the
    refusals say about the service's own limits is worked out in `Limits`.
    """

    def __init__(self, limit: int | None = None, patience_s: float = 120.0) -> None:
        self.limits = None if limit is None else Limits(limit)
        self.patience_s = patience_s
        self.woken = 0  # how many waiters have been woken so far
        self._line = deque[asyncio.Future[Try]]()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Place]:
        """Wait for a place, and hold it for the length of the block: a whole stream."""
        place = Place(self)
        await place.take(first=False)
        try:
            yield place
        finally:
            place.give_back()

    async def wait(self, limits: Limits, first: bool) -> Try:
        """Return when there is a place. first: stand before all others."""
        now_s = time.monotonic()
        if not first:
            limits.came(now_s)
        if not self._line and limits.wait_s(now_s, 1) <= 0:
            return limits.sent(now_s)
        mine = asyncio.get_running_loop().create_future()
        if first:
            self._line.appendleft(mine)
        else:
            self._line.append(mine)
        self.let_in()
        try:
            return await mine  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # a place was given at the same moment: pass it on
                limits.withdrawn(mine.result())
                self.let_in()
            raise

    def let_in(self) -> None:
        """Wake as many as can go now, and come back when the next one can."""
        if self.limits is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s, wait_s = time.monotonic(), 0.0
        while self._line:
            if self._line[0].done():  # was cancelled
                self._line.popleft()
                continue
            if (wait_s := self.limits.wait_s(now_s, len(self._line))) > 0:
                break
            self._line.popleft().set_result(self.limits.sent(now_s))
            self.woken += 1
        if self._line and math.isfinite(wait_s):
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.let_in)


class Place:
    """One place at the service, or none while its request waits to ask again."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._limits = pace, pace.limits
        self._try: Try | None = None

    async def take(self, first: bool) -> None:
        """Wait for the place."""
        if self._limits is not None:
            self._try = await self._pace.wait(self._limits, first)

    async def start(self) -> None:
        """Wait until the event loop has time for one more start.

        Not where the service's limit is known: places come free one by one there, and each moment that one is empty
        is lost.
        """
        if self._limits is None or not self._limits.start.is_over:
            await in_turn()

    def give_back(self) -> None:
        """Leave the place to the next one."""
        if self._limits is not None and self._try is not None:
            self._limits.ended(self._try)
            self._try = None
            self._pace.let_in()

    async def ask(self, post: Callable[[], Awaitable[Reply]]) -> Reply:
        """Return what `post` returns; on a 429 give the place back, wait for it again and call `post` once more.

        So too where a server still loads its model, or is overloaded. What no waiting can mend is raised: a used-up
        quota, a Retry-After beyond the service's patience.
        Without a limit `post` is called once: the client's own retries are the only ones.
        """
        if self._limits is None:
            return await post()
        refused = 0
        while True:
            assert self._try is not None
            while self._limits.is_out_of_date(self._try):  # stand in line again: the service takes less than we thought
                self._limits.withdrawn(self._try)
                self._try = None
                await self.take(first=True)
                assert self._try is not None
            self._limits.posted(self._try, time.monotonic())
            try:
                reply = await post()
            except openai.RateLimitError as error:
                if not may_ask_again(error, self._pace.patience_s):
                    raise
                self._limits.refused(self._try, time.monotonic(), retry_after_s(error.response))
                wait_s = again_after_s(error, refused)
                refused += 1
            except openai.APIConnectionError as error:
                if not _is_out_of_files(error) or self._limits.under_way < 2:
                    raise
                self._limits.most = self._limits.under_way - 1
                log.warning(
                    "only %d requests at once: this process may open no more files; raise `ulimit -n`",
                    self._limits.most,
                )
                self._limits.ended(self._try)
                wait_s = 0.0
            except openai.InternalServerError as error:
                if not (is_loading(error) or (is_overloaded(error) and may_ask_again(error, self._pace.patience_s))):
                    raise
                self._limits.ended(self._try)
                wait_s = LOADING_S if is_loading(error) else again_after_s(error, refused)
                refused += 1
            else:
                self._limits.admitted(self._try, time.monotonic())
                return reply
            self._try = None
            self._pace.let_in()
            await asyncio.sleep(wait_s)
            await self.take(first=True)


def _is_out_of_files(error: BaseException | None) -> bool:
    """Say whether the connection could not be opened because the process, or the machine, has too many files open."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False
