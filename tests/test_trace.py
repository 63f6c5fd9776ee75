"""`@trace` on functions, coroutines and asynchronous generators: one span per call, ended however the call is left."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from opentelemetry import trace as opentelemetry
from opentelemetry.trace import StatusCode

from flowkit.base.tracing import trace
from tests.test_tracing import Spans, events, kept, recorder, spans  # noqa: F401 - fixtures

tracer = opentelemetry.get_tracer("tests")


@trace
def doubled(number: int, model_config: Any = None) -> int:
    return 2 * number


@trace
async def doubled_later(number: int) -> int:
    await asyncio.sleep(0)
    return doubled(number)


class Countdown:
    """A class that is called, as a flow is."""

    @trace
    async def __call__(self, start: int, fails_at: int = -1) -> AsyncGenerator[int, None]:
        """Yield `start` and so on, down to 1."""
        for number in range(start, 0, -1):
            if number == fails_at:
                raise ValueError("no such number")
            with tracer.start_as_current_span("step"):
                await asyncio.sleep(0)
            yield number


def test_a_function_and_a_coroutine_tell_arguments_and_result(spans: Spans) -> None:  # noqa: F811
    assert (doubled(2, model_config={"api_key": "sk-in-no-trace-1234"}), asyncio.run(doubled_later(3))) == (4, 6)
    first, second = spans.named("doubled")
    assert events(first) == {"function.inputs": {"number": 2}, "function.output": 4}
    later = spans.only("doubled_later")
    assert (kept(later, "inputs"), kept(later, "output")) == ({"number": 3}, 6)
    assert second.parent == later.context


def test_what_a_stream_calls_is_below_it_and_what_its_reader_does_between_two_steps_is_not(
    spans: Spans,  # noqa: F811
) -> None:
    async def read() -> list[int]:
        numbers = []
        async for number in Countdown()(2):
            with tracer.start_as_current_span("reader"):
                numbers.append(number)
        return numbers

    assert asyncio.run(read()) == [2, 1]
    assert spans.tree() == {"": ["Countdown", "reader", "reader"], "Countdown": ["step", "step"]}
    assert kept(spans.only("Countdown"), "inputs") == {"start": 2, "fails_at": -1}
    assert inspect.isasyncgenfunction(Countdown.__call__)  # as promptflow asks


async def read_all(countdown: Any) -> None:
    async for _ in countdown:
        pass


def test_a_stream_that_fails_is_an_error_and_one_that_is_left_is_none(spans: Spans) -> None:  # noqa: F811
    async def leave() -> None:
        async with aclosing(Countdown()(3)) as numbers:
            await anext(numbers)

    with pytest.raises(ValueError, match="no such number"):
        asyncio.run(read_all(Countdown()(3, fails_at=2)))
    asyncio.run(leave())
    failed, left = spans.named("Countdown")
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "ValueError: no such number")
    assert (left.status.status_code, (left.attributes or {})["output_type"]) == (StatusCode.UNSET, "abandoned")


@pytest.mark.parametrize("call", [doubled, doubled_later], ids=["function", "coroutine"])
def test_wrong_arguments_are_refused_as_without_a_trace(call: Any) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'number'"):
        asyncio.run(awaited(call))


async def awaited(call: Any) -> Any:
    return await call()
