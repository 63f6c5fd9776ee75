"""How a run of many lines is stopped, by Ctrl-C or because it cannot succeed: within moments, finished lines kept."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none


class StoppedError(Exception):
    """The run was stopped before this line was done."""


class Interruption:
    """A request to stop, heard by every line in whichever loop or thread it runs.

    cause: why, in a sentence; "" where a person asked.
    """

    def __init__(self) -> None:
        self.requested, self.cause = False, ""
        self._running: dict[asyncio.Task[object], asyncio.AbstractEventLoop] = {}

    def request(self, cause: str = "") -> None:
        """Stop: lines that run are cancelled, lines to come are refused. Safe in a signal handler."""
        if not self.requested:
            self.requested, self.cause = True, cause
        for task, loop in list(self._running.items()):
            loop.call_soon_threadsafe(task.cancel)

    async def run(self, work: Awaitable[T], limit_s: float | None) -> T:
        """Await `work`. Raises StoppedError when asked to stop, TimeoutError after `limit_s`; never CancelledError.

        promptflow lets its own limit pass in a run on one loop, and loses the whole run to a CancelledError.
        """
        task: asyncio.Task[T] = asyncio.ensure_future(work)
        self._running[task] = asyncio.get_running_loop()
        try:
            if self.requested:
                task.cancel()
            done, _ = await asyncio.wait({task}, timeout=limit_s)
            if not done:
                task.cancel()
                await asyncio.wait({task})
                if task.cancelled():
                    raise TimeoutError(f"not done within {limit_s:g} s")
            if task.cancelled():
                raise StoppedError("the run was stopped before this line was done")
            return task.result()
        finally:
            del self._running[task]

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let Ctrl-C (a polite kill, a closed terminal) stop the run; a second one ends the process as it always does.

        What was ignored before, as in the background or by nohup, still is. A closed terminal says so more than once.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            for each, handler in before.items():
                signal.signal(each, signal.SIG_IGN if each == number == HANGUP else handler)
            self.request()

        if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
            yield
            return
        heard = [each for each in (signal.SIGINT, signal.SIGTERM, HANGUP) if each]
        before = {each: signal.signal(each, stop) for each in heard if signal.getsignal(each) != signal.SIG_IGN}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
