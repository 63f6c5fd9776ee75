"""How many requests are in flight, and how a "too many requests" slows all of them down for a while."""

from __future__ import annotations

import asyncio
import time

import pytest

from flowkit.model.pace import Pace


async def work_through(pace: Pace, pieces: int, piece_s: float = 0.0) -> int:
    """Work through the pieces as fast as the pace allows; return the most that were under way at once."""
    under_way = most = 0

    async def one() -> None:
        nonlocal under_way, most
        async with pace.turn():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(piece_s)
            pace.went_well()
            under_way -= 1

    await asyncio.gather(*(one() for _ in range(pieces)))
    return most


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_no_more_than_the_limit_are_under_way(limit: int) -> None:
    async def main() -> int:
        return await work_through(Pace(limit), 20)

    assert asyncio.run(main()) == limit


def test_without_a_limit_all_are_under_way_and_a_429_changes_nothing() -> None:
    async def main() -> int:
        pace = Pace()
        pace.too_many(60)
        await pace.pause_over()
        return await work_through(pace, 20)

    assert asyncio.run(main()) == 20


def test_a_429_halves_what_is_under_way_and_success_brings_it_back() -> None:
    async def main() -> tuple[int, int]:
        pace = Pace(8)

        async def refused() -> None:
            async with pace.turn():
                await asyncio.sleep(0)
                pace.too_many(None)

        await asyncio.gather(*(refused() for _ in range(8)))  # one wave is one sign
        slowed = await work_through(pace, 4)
        await work_through(pace, 100)
        return slowed, await work_through(pace, 20)

    slowed, again = asyncio.run(main())
    assert slowed == 4
    assert again == 8


def test_nobody_starts_before_the_retry_after_is_over() -> None:
    async def main() -> float:
        pace, began_s = Pace(8), time.monotonic()
        pace.too_many(1.5)
        await asyncio.gather(*(pace.pause_over() for _ in range(5)))
        return time.monotonic() - began_s

    assert asyncio.run(main()) >= 1.5


def test_who_is_cancelled_while_waiting_leaves_its_turn_to_others() -> None:
    async def main() -> int:
        pace = Pace(1)
        async with pace.turn():
            waiting = asyncio.create_task(work_through(pace, 1))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return await work_through(pace, 3)

    assert asyncio.run(main()) == 1
