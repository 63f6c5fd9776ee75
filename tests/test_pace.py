"""How many requests are in flight, who waits in which order, and what a refusal changes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest

from flowkit.base.start_gate import in_turn
from flowkit.model.completion import complete_text
from flowkit.model.configuration import Model, Service
from flowkit.model.errors import hopeless
from flowkit.model.limits import Limits
from flowkit.model.pace import Pace, Place
from flowkit.model.waits import told_in_words_s
from flowkit.prompt.history import Message
from tests.chat_server import Answer, ChatServer, Status

PROJECT = Path(__file__).absolute().parent.parent


async def work_through(pace: Pace, pieces: int, piece_s: float = 0.0) -> int:
    """Work through the pieces as fast as the pace allows; return the most that were under way at once."""
    under_way = most = 0

    async def one() -> None:
        nonlocal under_way, most
        async with pace.turn():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(piece_s)
            under_way -= 1

    await asyncio.gather(*(one() for _ in range(pieces)))
    return most


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_no_more_than_the_limit_are_under_way(limit: int) -> None:
    async def main() -> int:
        return await work_through(Pace(limit), 20)

    assert asyncio.run(main()) == limit


def test_without_a_limit_all_are_under_way() -> None:
    async def main() -> int:
        return await work_through(Pace(), 20)

    assert asyncio.run(main()) == 20


def test_places_are_given_in_the_order_of_asking() -> None:
    order: list[int] = []

    async def one(pace: Pace, number: int) -> None:
        async with pace.turn():
            order.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        pace = Pace(2)
        await asyncio.gather(*(one(pace, number) for number in range(50)))

    asyncio.run(main())
    assert order == list(range(50))


def test_a_freed_place_wakes_only_who_can_go() -> None:
    async def main() -> int:
        pace = Pace(4)
        await work_through(pace, 1000)
        return pace.woken

    assert asyncio.run(main()) <= 1000


@pytest.mark.parametrize("known", [False, True])
def test_once_a_limit_is_known_a_free_place_is_used_at_once(known: bool) -> None:
    async def waits() -> bool:
        pace, now_s = Pace(), time.monotonic()
        pace.limits = limits = Limits(8)
        for _ in range(8 * known):
            limits.refused(limits.sent(now_s), now_s, None)
        await in_turn()  # somebody else starts in this iteration of the loop
        start = Place(pace).start()
        with suppress(StopIteration):
            start.send(None)
            start.close()
            return True
        return False

    assert asyncio.run(waits()) is not known


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


def test_who_is_cancelled_in_the_moment_of_getting_a_place_passes_it_on() -> None:
    async def main() -> Any:
        pace = Pace(1)
        async with pace.turn():
            first, second = (asyncio.create_task(work_through(pace, 1)) for _ in range(2))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert pace.woken == 1  # the first has its place, and does not know yet
        first.cancel()
        return await asyncio.wait_for(asyncio.gather(first, second, return_exceptions=True), 30)

    cancelled, worked = asyncio.run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert worked == 1


def model_at(server: ChatServer, max_in_flight: int | None = 8, give_up_after_s: float = 30) -> Model:
    limits = Service(server.base_url, "a-key", give_up_after_s=give_up_after_s, max_in_flight=max_in_flight)
    return Model("m", limits)


def ask_all(model: Model, count: int) -> list[str]:
    async def main() -> list[str]:
        question: list[Message] = [{"role": "user", "content": "What is it?"}]
        replies = await asyncio.gather(*(complete_text(model, question, {}) for _ in range(count)))
        return [text for text, _ in replies]

    return asyncio.run(main())


@pytest.mark.slow
def test_in_a_batch_a_request_is_refused_as_often_as_it_takes(server: ChatServer) -> None:
    soon = [("retry-after-ms", "20"), ("retry-after", "60")]
    server.script = [Status(429, "slow down", headers=soon)] * 6  # more often than the client would try
    began_s = time.monotonic()
    assert ask_all(model_at(server), 1) == ["Hello there."]
    assert len(server.requests) == 7
    assert time.monotonic() - began_s < 30  # milliseconds, not the minute


def test_a_request_that_is_too_large_for_a_whole_minute_is_not_asked_again(server: ChatServer) -> None:
    server.usual = Status(429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 36278.")
    with pytest.raises(openai.RateLimitError) as raised:
        ask_all(model_at(server), 1)
    assert hopeless(raised.value) is None  # the other lines may be smaller
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_model_that_is_still_loading_is_waited_for(server: ChatServer) -> None:
    server.script = [Status(503, "Loading model")] * 7  # more than the client's own tries
    assert ask_all(model_at(server), 2) == ["Hello there."] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "overloaded", [Status(503, "The model is overloaded. Please try again later."), Status(529, "Overloaded")]
)
def test_a_service_that_is_overloaded_for_a_while_is_waited_for(server: ChatServer, overloaded: Status) -> None:
    server.script = [overloaded] * 7  # more than the client's own tries
    assert ask_all(model_at(server), 2) == ["Hello there."] * 2


@pytest.mark.parametrize("used_up", ["You have exceeded today's quota", "余额不足"])
def test_a_quota_that_is_used_up_is_not_asked_again_whatever_signs_are_in_its_words(
    server: ChatServer, used_up: str
) -> None:
    server.usual = Status(429, used_up)
    with pytest.raises(openai.RateLimitError):
        ask_all(model_at(server), 1)
    assert len(server.requests) == 1


def test_elsewhere_the_client_s_own_tries_are_the_only_ones(server: ChatServer) -> None:
    server.usual = Status(429, "slow down", headers=[("retry-after-ms", "20")])
    with pytest.raises(openai.RateLimitError):
        ask_all(model_at(server, max_in_flight=None), 1)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("words", "wait_s"),
    [
        (
            '[{"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}]}}]',
            36.5,
        ),
        ('{"error": {"message": "Rate limit reached. Please try again in 1m26.4s. Need more?"}}', 86.4),
        ('{"error": {"message": "Rate limit reached. Please try again in 6m0s."}}', 360),
        ('{"error": {"message": "Rate limit reached. Please try again in 20ms."}}', 0.02),
        ('{"error": {"message": "Exceeded the call rate limit. Please retry after 6 seconds."}}', 6),
        ("Too many requests, try again in 1 hour 2 minutes", 3720),
        ("Rate limit exceeded. Please wait 42 seconds before retrying.", 42),
        ('{"error": {"message": "Rate limit of 20 a minute: slow down and try again in a moment"}}', None),
        ('{"error": {"message": "try again in 3 minutos"}}', None),
        ("", None),
    ],
)
def test_how_long_to_wait_is_read_from_the_words_too(words: str, wait_s: float | None) -> None:
    assert told_in_words_s(words.encode()) == (None if wait_s is None else pytest.approx(wait_s))


@pytest.mark.parametrize("in_a_batch", [True, False])
def test_what_only_the_words_say_is_waited_for(server: ChatServer, in_a_batch: bool) -> None:
    server.script = [Status(429, "Rate limit reached. Please try again in 1.2s.")]
    began_s = time.monotonic()
    assert ask_all(model_at(server, max_in_flight=8 if in_a_batch else None), 1) == ["Hello there."]
    assert time.monotonic() - began_s >= 1.2  # without them, half a second


@pytest.mark.parametrize("in_a_batch", [True, False])
@pytest.mark.parametrize(
    "refusal",
    [Status(429, "slow down", headers=[("retry-after", "3600")]), Status(429, "Please try again in 1h0m0s.")],
    ids=["header", "words"],
)
def test_a_retry_after_beyond_the_patience_fails_at_once(server: ChatServer, refusal: Status, in_a_batch: bool) -> None:
    server.usual = refusal
    with pytest.raises(openai.RateLimitError):
        ask_all(model_at(server, max_in_flight=8 if in_a_batch else None), 1)
    assert len(server.requests) == 1


def test_a_used_up_quota_fails_at_once(server: ChatServer) -> None:
    server.usual = Status(429, "You exceeded your current quota", error_code="insufficient_quota")
    with pytest.raises(openai.RateLimitError, match="quota"):
        ask_all(model_at(server), 1)
    assert len(server.requests) == 1


def test_a_refused_request_leaves_its_place_to_others_while_it_waits(server: ChatServer) -> None:
    server.script = [Status(429, "slow down", headers=[("retry-after", "2")])]
    came: list[str] = []

    async def one(name: str) -> None:
        await complete_text(model_at(server, max_in_flight=1), [{"role": "user", "content": name}], {})
        came.append(name)

    async def main() -> None:
        await asyncio.gather(*(one(name) for name in "abcd"))

    asyncio.run(main())
    assert came == ["b", "c", "d", "a"]


@pytest.mark.slow
def test_a_service_that_answers_few_at_once_is_asked_for_few_and_no_request_fails(server: ChatServer) -> None:
    def act(_: object) -> Answer | Status:
        return Answer(first_s=0.1) if server.in_flight <= 4 else Status(429, "slow down")

    server.usual = act
    assert ask_all(model_at(server, max_in_flight=64), 120) == ["Hello there."] * 120
    assert len(server.requests) < 160  # 40 refusals, most of them before anybody knew


FEW_FILES = """
import asyncio, logging, resource, sys
logging.basicConfig(format="%(message)s", level=logging.WARNING)
from flow import ChatFlow
limits = {"max_in_flight": 100, "max_retries": 0}
chat_flow = ChatFlow({"model": "gpt-4o", "base_url": sys.argv[1], "api_key": "a-key", **limits})
async def one():
    return "".join([piece async for piece in chat_flow("Hello?")])
async def main():
    if sys.argv[2] == "later":  # the files are gone when the client has long been built
        await one()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    return await asyncio.gather(*(one() for _ in range(100)))
assert asyncio.run(main()) == ["Hello there."] * 100
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("when", "said"),
    [("before", "of 100 requests at once: this process may open 64 files; raise `ulimit -n`"),
     ("later", "requests at once: this process may open no more files; raise `ulimit -n`")],
)  # fmt: skip
def test_with_few_files_fewer_requests_are_in_flight_and_that_is_said(server: ChatServer, when: str, said: str) -> None:
    server.usual = Answer(first_s=1)
    command = [sys.executable, "-c", FEW_FILES, server.base_url, when]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
    assert server.most_in_flight < 64
