"""One client per event loop and service, closed when its loop closes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from email.utils import parsedate_to_datetime
from typing import Any
from weakref import WeakKeyDictionary

import anyio._backends._asyncio  # noqa: F401 - 25 ms, which anyio would take at the end of the first answer
import httpx2
import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAioHttpClient

from flowkit.model.configuration import Service
from flowkit.model.pace import Pace

_Shared = tuple[AsyncOpenAI, Pace]
_TLS = httpx2.create_ssl_context()  # 30 ms, so once per process and not amid answers
# Never on a flow: promptflow pickles flows, and calls one flow from several loops.
_held: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Service, tuple[_Shared, object]]] = WeakKeyDictionary()


async def shared_client(service: Service) -> tuple[AsyncOpenAI, Pace]:
    """Return this loop's client for `service`, whose connections belong to the loop, and the pace of its requests."""
    clients = _held.setdefault(asyncio.get_running_loop(), {})
    if service not in clients:
        lifetime = _lifetime(service)
        # Started on this loop, the generator is finalised by it: `asyncio.run` closes the client before the loop.
        clients[service] = (await anext(lifetime), lifetime)
    return clients[service][0]


async def _lifetime(service: Service) -> AsyncGenerator[_Shared, None]:
    pace = Pace(service.max_in_flight)
    async with _build(service, pace) as client:
        yield client, pace


def _build(service: Service, pace: Pace) -> AsyncOpenAI:
    """Return a client whose own retries are the only ones, and wait for the pace too."""

    async def wait_for_pause(request: httpx2.Request) -> None:
        await pace.pause_over()

    async def heed(response: httpx2.Response) -> None:
        """Tell the pace of a "too many"; let an answer that asks us to wait longer than we would fail at once."""
        wait_s = _retry_after_s(response)
        if wait_s is not None and wait_s > service.give_up_after_s:
            response.headers["x-should-retry"] = "false"  # the client's own switch
        elif response.status_code == 429:
            pace.too_many(wait_s)
        elif response.is_success:
            pace.went_well()

    limits: dict[str, Any] = {
        "api_key": service.api_key,
        "timeout": openai.Timeout(service.timeout_s, connect=min(service.timeout_s, 10)),
        "max_retries": service.max_retries,
        "http_client": DefaultAioHttpClient(verify=_TLS, event_hooks={"request": [wait_for_pause], "response": [heed]}),
    }
    if service.api_version:
        return AsyncAzureOpenAI(azure_endpoint=service.base_url or "", api_version=service.api_version, **limits)
    return AsyncOpenAI(base_url=service.base_url, organization=service.organization, **limits)


def _retry_after_s(response: httpx2.Response) -> float | None:
    """Return how long the service asks us to wait: seconds or an HTTP date, None where it says nothing readable."""
    asked = response.headers.get("retry-after", "")
    try:
        return float(asked)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(asked).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
