"""The start gate: how many start per iteration of the event loop, in which order, and what a cancelled caller does."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable

from flowkit.base.start_gate import SHARE_S, in_turn

LONGER_S = 1.5 * SHARE_S


async def iterations_of_all(count: int, work: Callable[[], object]) -> list[int]:
    """Let so many start together and do `work`; return in which iteration each did, in the order they came."""
    iteration, iterations = 0, [0] * count

    async def come(number: int) -> None:
        await in_turn()
        iterations[number] = iteration
        work()

    everybody = asyncio.gather(*(come(number) for number in range(count)))
    while not everybody.done():
        await asyncio.sleep(0)
        iteration += 1
    return iterations


def busy() -> None:
    end_s = time.perf_counter() + LONGER_S
    while time.perf_counter() < end_s:
        pass


def test_an_iteration_has_one_start_that_takes_long() -> None:
    turns = asyncio.run(iterations_of_all(12, busy))
    assert turns == sorted(set(turns))


def test_an_iteration_has_many_starts_that_are_short() -> None:
    turns = asyncio.run(iterations_of_all(5000, int))
    assert turns == sorted(turns)
    assert turns[-1] - turns[0] < 2500


def test_a_caller_that_is_alone_does_not_wait() -> None:
    async def alone() -> list[int]:
        return [number for _ in range(3) for number in await iterations_of_all(1, busy)]

    assert asyncio.run(alone()) == [0, 0, 0]


def test_a_cancelled_caller_holds_nobody_up() -> None:
    async def some_leave() -> int:
        waiting = [asyncio.create_task(in_turn()) for _ in range(9)]
        await asyncio.sleep(0)
        for task in waiting[1::2]:
            task.cancel()
        came = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), timeout=60)
        await in_turn()
        return sum(result is None for result in came)

    assert asyncio.run(some_leave()) == 5


def test_a_loop_that_is_over_is_forgotten() -> None:
    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        await asyncio.gather(in_turn(), in_turn())
        return weakref.ref(asyncio.get_running_loop())

    over = asyncio.run(use())
    gc.collect()
    assert over() is None
