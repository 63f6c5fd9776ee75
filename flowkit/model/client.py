"""One client per event loop and service, closed when its loop closes."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio._backends._asyncio  # noqa: F401 - 25 ms, which anyio would take at the end of the first answer
import httpx2
import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAioHttpClient

from flowkit.model.checks import without_chat_path
from flowkit.model.configuration import Service
from flowkit.model.errors import is_used_up
from flowkit.model.pace import Pace
from flowkit.model.route import OPENAI, certificates_for, is_same_server, proxy_for
from flowkit.model.waits import retry_after_s, told_in_words_s

log = logging.getLogger(__name__)
FILES_KEPT_FREE = 16  # for the journal, the rows and what else the process opens meanwhile
_Shared = tuple[AsyncOpenAI, Pace]
# Never on a flow: promptflow pickles flows, and calls one flow from several loops.
_held: dict[asyncio.AbstractEventLoop, dict[Service, tuple[_Shared, AsyncGenerator[_Shared, None]]]] = {}


async def shared_client(service: Service) -> tuple[AsyncOpenAI, Pace]:
    """Return this loop's client for `service`, whose connections belong to the loop, and the pace of its requests."""
    loop = asyncio.get_running_loop()
    if loop not in _held:
        for other in list(_held):  # a loop that was closed without the end of its generators
            if other.is_closed():
                _let_go(other)
    clients = _held.setdefault(loop, {})
    if service not in clients:
        lifetime = _lifetime(service, loop)
        # Started on this loop, the generator is finalised by it: `asyncio.run` closes the client before the loop.
        clients[service] = (await anext(lifetime), lifetime)
    return clients[service][0]


def _let_go(loop: asyncio.AbstractEventLoop) -> None:
    """Close the clients of a loop that others have closed or left, as a Streamlit app does, not ended as a run does."""
    for _, lifetime in _held.pop(loop, {}).values():
        closing = lifetime.aclose()
        with suppress(StopIteration, RuntimeError):
            if loop.is_closed():
                closing.send(None)  # its connections have nothing left to wait for
            else:
                loop.run_until_complete(closing)


@atexit.register
def _let_all_go() -> None:
    for loop in list(_held):
        if not loop.is_running():
            _let_go(loop)


async def _lifetime(service: Service, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[_Shared, None]:
    pace = Pace(_affordable(service.max_in_flight), service.give_up_after_s)
    try:
        async with _build(service) as client:
            yield client, pace
    finally:
        _held.pop(loop, None)


def _affordable(wanted: int | None) -> int | None:
    """Return how many requests at once the process has files for, and say so where they are fewer than wanted."""
    try:
        import resource  # not on Windows, which has no such limit
    except ImportError:
        return wanted
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted is None or allowed == resource.RLIM_INFINITY:
        return wanted
    free = max(1, allowed - _open_files() - FILES_KEPT_FREE)
    if wanted <= free:
        return wanted
    log.warning(
        "only %d of %d requests at once: this process may open %d files; raise `ulimit -n`", free, wanted, allowed
    )
    return free


def _open_files() -> int:
    try:
        return len(os.listdir("/dev/fd"))
    except OSError:  # a system without it
        return 32


def _build(service: Service) -> AsyncOpenAI:
    """Return a client whose own retries are the only ones, but for a 429 in a batch: see `Place.ask`."""

    async def check(response: httpx2.Response) -> None:
        """Let fail at once what must not be retried here, and a redirect that leads to another server."""
        if response.is_success:
            return
        if response.has_redirect_location:
            _refuse_redirect(response)
        wait_s, is_ours = retry_after_s(response), False
        if response.status_code == 429:
            body = await response.aread()
            is_ours = service.max_in_flight is not None or is_used_up(body)
            if wait_s is None and (wait_s := told_in_words_s(body)) is not None:
                response.headers["retry-after"] = f"{wait_s:g}"  # where openai's client reads it too
        if is_ours or (wait_s is not None and wait_s > service.give_up_after_s):
            response.headers["x-should-retry"] = "false"  # the client's own switch

    # Without an address openai's client would read OPENAI_BASE_URL itself.
    url = urlsplit((service.base_url or OPENAI).rstrip("/"))
    proxy = proxy_for(url.geturl())
    http_client = DefaultAioHttpClient(
        verify=certificates_for(url.geturl()),
        proxy=proxy.url if proxy else None,
        trust_env=False,  # it would send what is for this machine to a proxy too
        event_hooks={"response": [check]},
    )
    how: dict[str, Any] = {
        "api_key": service.api_key,
        "timeout": openai.Timeout(service.timeout_s, connect=min(service.timeout_s, 10)),
        "max_retries": service.max_retries,
        "organization": service.organization,
        "project": service.project,
        "http_client": http_client,
    }
    if service.api_version:
        return AsyncAzureOpenAI(azure_endpoint=url.geturl(), api_version=service.api_version, **how)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    return AsyncOpenAI(base_url=url._replace(query="", fragment="").geturl(), default_query=query, **how)


def _refuse_redirect(response: httpx2.Response) -> None:
    """Raise where a redirect leads to another host or port: the question, and perhaps the key, would follow.

    So too where it would make a POST a GET without the question, which a service answers with 404 or 405; a 303 means
    that: the answer is to be fetched there.
    """
    asked = response.request.url
    target = asked.join(response.headers["location"])
    server = f"{target.scheme}://{target.netloc.decode()}"
    upgraded = target.host == asked.host and (asked.scheme, target.scheme) == ("http", "https")
    if not (upgraded or is_same_server(str(target), str(asked))):
        raise openai.APIError(
            f"the service redirects to another server, {server}, and nothing was "
            "sent there; if you trust it, write that address into the configuration",
            response.request,
            body=None,
        )
    if response.status_code in (301, 302):
        address = without_chat_path(f"{server}{target.path}")
        raise openai.APIError(
            f"the service has moved ({response.status_code}) to {address}: write that into the configuration",
            response.request,
            body=None,
        )
