"""Work of a millisecond, done by a hundred answers at once, leaves the event loop room in between."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

_doors: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def one_by_one() -> None:
    """Let one caller pass at each turn of the loop, in the order they came; all else that is ready goes between."""
    async with _doors.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
