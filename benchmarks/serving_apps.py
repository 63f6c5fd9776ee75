"""Two web endpoints that stream an answer, for uvicorn --factory: ours, and openai's client by itself.

Each has a second path, /heartbeat: how late a timer of 5 ms on its event loop was since it was last asked.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from benchmarks.ways import Message, bare, ours

BEAT_S = 0.005
Asked = Callable[[str, list[Message]], AsyncIterator[str]]


def ours_app() -> Starlette:
    """Build the README's endpoint."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Asked]:
        yield ours(os.environ["OPENAI_BASE_URL"])

    return _app(opened)


def bare_app() -> Starlette:
    """Build the same around openai's client."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Asked]:
        async with bare(os.environ["OPENAI_BASE_URL"]) as client:
            yield client.ask

    return _app(opened)


def _app(opened: Callable[[], AbstractAsyncContextManager[Asked]]) -> Starlette:
    late_s: list[float] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened() as app.state.ask:
            gc.collect()
            gc.freeze()
            beating = asyncio.create_task(_beat(late_s))
            yield
            beating.cancel()

    async def chat(request: Request) -> StreamingResponse:
        asked = await request.json()
        answer = request.app.state.ask(asked["question"], asked.get("chat_history") or [])
        events = (f"data: {json.dumps(piece)}\n\n" async for piece in answer)
        return StreamingResponse(events, media_type="text/event-stream")

    async def heartbeat(request: Request) -> JSONResponse:
        taken, late_s[:] = list(late_s), []
        return JSONResponse(taken)

    routes = [Route("/chat", chat, methods=["POST"]), Route("/heartbeat", heartbeat)]
    return Starlette(routes=routes, lifespan=lifespan)


async def _beat(late_s: list[float]) -> None:
    while True:
        due_s = time.perf_counter() + BEAT_S
        await asyncio.sleep(BEAT_S)
        late_s.append(time.perf_counter() - due_s)
