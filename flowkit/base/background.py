"""Run coroutines from synchronous code, also from inside a running event loop, on one loop beside it."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")
_starting = threading.Lock()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what `coroutine` returns, or raise what it raises; the caller's thread waits.

    Every caller's coroutines share one loop, and so its clients: a client per call would cost 30 ms each.
    """
    with _starting:
        loop = _loop(os.getpid())
    waiting = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return waiting.result()
    except BaseException:
        waiting.cancel()  # Ctrl-C in the waiting thread ends the work too
        raise


@lru_cache(maxsize=1)
def _loop(process_id: int) -> asyncio.AbstractEventLoop:
    """Start the loop, once per process: a fork has none of its parent's threads."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_serve, args=(loop,), name="flowkit", daemon=True)
    thread.start()
    atexit.register(_stop, loop, thread)
    return loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())  # closes the clients
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=5)
