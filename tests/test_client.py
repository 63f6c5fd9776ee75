"""One client per event loop and service: shared, and closed with its loop."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from flowkit.model.client import shared_client
from flowkit.model.completion import complete_text
from flowkit.model.configuration import Model, Service
from tests.chat_server import Answer, ChatServer, Status, chat_server

PROJECT = Path(__file__).absolute().parent.parent
SERVICE = Service("http://127.0.0.1:9/v1", "a-key")


def test_one_loop_has_one_client_per_service_and_another_loop_another() -> None:
    async def clients() -> tuple[int, int, int]:
        (same, _), (again, _) = await asyncio.gather(shared_client(SERVICE), shared_client(SERVICE))
        other, _ = await shared_client(Service("http://127.0.0.1:9/v1", "another-key"))
        return id(same), id(again), id(other)

    one, same, other = asyncio.run(clients())
    assert one == same != other


def test_the_client_is_closed_when_its_loop_ends() -> None:
    async def main() -> AsyncOpenAI:
        client, _ = await shared_client(SERVICE)
        return client

    assert asyncio.run(main()).is_closed()


PROGRAM = """
import asyncio, sys
from flow import ChatFlow
chat_flow = ChatFlow({"model": "gpt-4o", "base_url": sys.argv[1], "api_key": "a-key"})
async def one(leave_early):
    async for piece in chat_flow("Hello?"):
        if leave_early:
            break
async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no leak
    await asyncio.gather(*(one(leave_early=i % 2) for i in range(20)))
for _ in range(3):
    asyncio.run(main())
"""


@pytest.mark.slow
def test_three_loops_one_after_the_other_leave_nothing_behind(server: ChatServer) -> None:
    strict = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, server.base_url]
    done = subprocess.run(strict, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(server.requests) == 60


def test_one_flow_is_called_from_several_threads_with_a_loop_each(server: ChatServer) -> None:
    from flow import ChatFlow

    chat_flow = ChatFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": "a-key"})
    answers: list[str] = []

    async def one() -> None:
        answers.append("".join([piece async for piece in chat_flow.stream("Hello?")]))

    threads = [threading.Thread(target=lambda: asyncio.run(one())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["Hello there."] * 8


@pytest.mark.slow
def test_a_hundred_chats_are_in_flight_at_once(server: ChatServer) -> None:
    from flow import ChatFlow

    server.usual = Answer(first_s=2)  # a busy machine takes a second for a hundred starts
    chat_flow = ChatFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": "a-key"})

    async def one() -> str:
        return "".join([piece async for piece in chat_flow.stream("Hello?")])

    async def main() -> list[str]:
        await one()
        return await asyncio.gather(*(one() for _ in range(100)))

    assert asyncio.run(main()) == ["Hello there."] * 100
    assert server.most_in_flight == 100


def test_loops_that_are_over_are_let_go() -> None:
    async def use() -> weakref.ref[asyncio.AbstractEventLoop]:
        await shared_client(SERVICE)
        return weakref.ref(asyncio.get_running_loop())

    over = [asyncio.run(use()) for _ in range(20)]
    gc.collect()
    assert [loop() for loop in over] == [None] * 20


def moved(address: str, code: int) -> Status:
    return Status(code, "moved", headers=[("location", address)])


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_request_does_not_follow_a_redirect_to_another_server(server: ChatServer, code: int) -> None:
    with chat_server() as other:
        server.usual = moved(f"{other.base_url}/chat/completions", code)
        with pytest.raises(openai.APIError, match=f"redirects to another server, {other.base_url.removesuffix('/v1')}"):
            asyncio.run(complete_text(model_at(server), [{"role": "user", "content": "A secret?"}], {}))
        assert other.requests == []
        assert len(server.requests) == 1


def test_a_redirect_within_the_server_is_followed(server: ChatServer) -> None:
    server.script = [moved("/v2/chat/completions", 307)]
    text, _ = asyncio.run(complete_text(model_at(server), [{"role": "user", "content": "Hello?"}], {}))
    assert text == "Hello there."
    assert [seen.path for seen in server.requests] == ["/v1/chat/completions", "/v2/chat/completions"]


def test_an_answer_that_is_to_be_fetched_elsewhere_on_the_server_is_fetched(server: ChatServer) -> None:
    server.script = [moved("/v1/models?call=1", 303)]
    server.models = {"choices": [{"message": {"content": "Later."}, "finish_reason": "stop"}]}
    text, _ = asyncio.run(complete_text(model_at(server), [{"role": "user", "content": "Hello?"}], {}))
    assert text == "Later."


@pytest.mark.parametrize("code", [301, 302])
def test_a_redirect_that_would_lose_the_question_names_the_new_address(server: ChatServer, code: int) -> None:
    server.usual = moved("/v2/chat/completions?token=t0ken", code)
    with pytest.raises(openai.APIError, match=rf"has moved \({code}\) to http://127\S+/v2: write that"):
        asyncio.run(complete_text(model_at(server), [{"role": "user", "content": "Hello?"}], {}))
    assert (len(server.requests), server.listings) == (1, [])


def test_the_query_of_an_address_stands_behind_each_path(server: ChatServer) -> None:
    model = Model("m", Service(f"{server.base_url}?api-version=preview&empty=", "a-key"))
    asyncio.run(complete_text(model, [{"role": "user", "content": "Hello?"}], {}))
    assert [seen.path for seen in server.requests] == ["/v1/chat/completions?api-version=preview&empty="]


def model_at(server: ChatServer) -> Model:
    return Model("m", Service(server.base_url, "a-key"))


LEFT = """
import asyncio, sys
from flow import ChatFlow

chat_flow = ChatFlow({"model": "m", "base_url": sys.argv[1], "api_key": "k"})
kept = []

async def read(whole):
    answer = chat_flow("What is it?")
    async for _ in answer:
        if not whole:
            return answer

for how in ("closed", "left", "kept"):
    for whole in (True, True, False):
        loop = asyncio.new_event_loop()
        answer = loop.run_until_complete(read(whole))
        if how == "closed":
            loop.close()
        elif how == "kept":
            kept.append(loop)
"""


@pytest.mark.slow
def test_loops_that_others_close_without_the_end_of_their_generators_or_leave_end_without_a_word(
    server: ChatServer,
) -> None:
    command = [sys.executable, "-c", LEFT, server.base_url]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(server.requests) == 9
