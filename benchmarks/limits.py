"""The limits benchmark: a service that refuses what is above its limit, or a request now and then."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from statistics import median
from typing import Any, ClassVar

from benchmarks import machine, table
from benchmarks.processes import hermetic_environment, run_python, running_server, server_load
from benchmarks.server import ANSWER_S, GAP_S, Conversation, Load
from benchmarks.ways import KEY, MODEL, QUESTION

AT_ONCE = 256
ROUNDS, LONG_S = 3, 20.0
WAYS = ("bare", "ours", "told")
WITHOUT_A_LIMIT = ("chance", "waiting")  # nobody can be told one
# By name: what the service does, how many answers are asked for, and the seconds they take at the limit.
CASES: dict[str, tuple[str, int, float]] = {
    "per-second:20": ("admits 20 a second", 1000, 1000 / 20),
    "per-second:100": ("admits 100 a second", 1000, 1000 / 100),
    "per-second:200": ("admits 200 a second", 1000, 1000 / 200),
    "at-once:8": ("admits 8 at once", 1000, 1000 / 8 * ANSWER_S),
    "at-once:32": ("admits 32 at once", 1000, 1000 / 32 * ANSWER_S),
    "at-once:64": ("admits 64 at once", 1000, 1000 / 64 * ANSWER_S),
    "uneven-at-once:32": ("admits 32 at once, answers of 0.1 to 0.5 s", 1000, 1000 / 32 * ANSWER_S),
    "chance:0.03:1": ("refuses 3 % once, Retry-After: 1", 200, ANSWER_S),
    "chance:0.01:": ("refuses 1 % once, no Retry-After", 1000, 1000 / AT_ONCE * ANSWER_S),
    "waiting:128": ("refuses nothing; 10,000 wait for 128 places (1)", 10_000, 10_000 / 128 * ANSWER_S),
}


class Limited(Conversation):
    """A connection to a service with a limit; a GET says also how many requests were refused since the last."""

    refused = 0
    recent: ClassVar = deque[float]()
    chance = random.Random(7)

    def __init__(self, load: Load, case: str) -> None:
        super().__init__(load)
        self.kind, number, *more = case.split(":")
        self.number, self.retry_after = float(number), more[0] if more else "1"

    def admits(self) -> bool:
        """Count the request against the limit, or refuse it."""
        now_s = self.loop.time()
        while self.recent and self.recent[0] <= now_s - 1:
            self.recent.popleft()
        if self.kind == "per-second":
            fits = len(self.recent) < self.number
        elif self.kind.endswith("at-once"):
            fits = self.load.now < self.number
        elif self.kind == "waiting":
            fits = True
        else:
            fits = self.chance.random() >= self.number
        if fits:
            self.recent.append(now_s)
            if self.kind.startswith("uneven"):
                self.gap_s = GAP_S * self.chance.uniform(0, 2)
            return True
        Limited.refused += 1
        head = f"retry-after: {self.retry_after}\r\n" if self.retry_after else ""
        body = json.dumps({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}})
        lines = f"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n{head}content-length: {len(body)}"
        self.transport.write(f"{lines}\r\n\r\n{body}".encode())
        return False

    def told(self, head: bytes) -> dict[str, float]:
        """Say what was refused since the last time, too."""
        refused, Limited.refused = Limited.refused, 0
        return {**super().told(head), "refused": refused}


async def serve(case: str) -> None:
    """Serve until killed; the address is the first line of the output."""
    conversation = partial(Limited, Load(), case)
    server = await asyncio.get_running_loop().create_server(conversation, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


async def measure(way: str, base_url: str, case: str) -> dict[str, float]:
    """Ask for a case's answers, `AT_ONCE` in flight; return the seconds, the share refused and how many failed.

    Of the case "waiting", all are asked at the same moment, and its number is what may be in flight.
    """
    answers, (kind, number, *_) = CASES[case][1], case.split(":")
    places, at_once, per_s = AT_ONCE, AT_ONCE, math.inf
    if kind == "waiting":
        places, at_once = int(number), answers
    elif way == "told" and kind.endswith("at-once"):
        places = int(number)
    elif way == "told":
        per_s = float(number)
    if way == "bare":
        s, failed = await _ask_bare(base_url, answers, places, at_once)
    else:
        s, failed = await _ask_ours(base_url, answers, places, at_once, per_s)
    refused = server_load(base_url)["refused"]
    return {"s": s, "refused": refused / (answers + refused) * 100, "failed": failed}


async def _ask_bare(base_url: str, answers: int, places: int, at_once: int) -> tuple[float, int]:
    """Let openai's client wait as it is told, and try again as often as it takes."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    http_client, free = DefaultAioHttpClient(), asyncio.Semaphore(places)
    async with AsyncOpenAI(base_url=base_url, api_key=KEY, http_client=http_client, max_retries=1000) as client:

        async def ask(_: int) -> None:
            async with free:
                chunks = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": QUESTION}], stream=True
                )
                async with chunks:
                    async for _chunk in chunks:
                        pass

        return await _all(ask, answers, at_once)


async def _ask_ours(base_url: str, answers: int, places: int, at_once: int, per_s: float) -> tuple[float, int]:
    """Ask as a batch does; where `per_s` is finite, no more than that a second, evenly spaced."""
    from flow import ChatFlow
    from flowkit.model.client import shared_client

    flow: Any = ChatFlow({"model": MODEL, "base_url": base_url, "api_key": KEY, "max_in_flight": places})
    await shared_client(flow.model.service)

    start_s = time.monotonic()

    async def ask(ticket: int) -> None:
        if per_s < math.inf:
            await asyncio.sleep(start_s + ticket / per_s - time.monotonic())
        async for _piece in flow(QUESTION, []):
            pass

    return await _all(ask, answers, at_once)


async def _all(ask: Callable[[int], Any], answers: int, at_once: int) -> tuple[float, int]:
    """Return the seconds and how many failed; what was imported and made before is not within the time."""
    gc.freeze()  # as `batch.py` does before it asks; here for every client
    start_s = time.perf_counter()
    tickets, failed = iter(range(answers)), 0

    async def work() -> None:
        nonlocal failed
        for ticket in tickets:
            try:
                await ask(ticket)
            except Exception as error:
                failed += 1
                print(type(error).__name__, error, file=sys.stderr)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return time.perf_counter() - start_s, failed


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve or measure one thing where that is asked for, else run the whole benchmark."""
    parser = argparse.ArgumentParser(description="Ask a service that refuses requests.")
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    parser.add_argument("--serve", action="store_true", help="the first case, until killed")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--base-url")
    options = parser.parse_args(arguments)
    if options.serve:
        asyncio.run(serve(options.case[0]))
    elif options.way:
        print(json.dumps(asyncio.run(measure(options.way, options.base_url, options.case[0]))))
    else:
        text = report(options.case)
        print(text)
        table.write_section("limits", text)


def report(cases: Sequence[str]) -> str:
    """Run all ways on each case and return the section of RESULTS.md."""
    rows = []
    with hermetic_environment() as environment:
        for case in cases:
            what, answers, floor_s = CASES[case]
            ways = WAYS[:2] if case.startswith(WITHOUT_A_LIMIT) else WAYS
            found = _medians(environment, case, ways, rounds=ROUNDS if floor_s < LONG_S else 1)
            cells = [what, f"{answers:,}", table.shown(floor_s)]
            for way in WAYS[:2]:
                cells += [table.shown(found[way]["s"]), f"{found[way]['refused']:.1f} %", f"{found[way]['failed']:.0f}"]
            cells.append(table.shown(found["told"]["s"]) if "told" in found else "")
            print(*cells, file=sys.stderr)
            rows.append(cells)
    columns = [f"{way}: {what}" for way in WAYS[:2] for what in ("s", "refused", "failed")]
    header = ["the service", "answers", "s at least", *columns, "told: s"]
    return f"""## Limits

{date.today()}, {machine.described(["openai"])}. Reproduce with `make bench`.

{AT_ONCE} answers in flight as far as the service allows; an answer takes {ANSWER_S:.2f} s. "s at least" is what the
limit, or the service's own waits, allow at best. bare: one openai client that waits as it is told, as often as it
takes. ours: `flow.ChatFlow` with `max_in_flight`, as in a batch. told: the same, told the limit before: what learning
it costs is the difference. All are made before the time starts, and what was loaded by then is kept from Python's
search for cycles, as `batch.py` has it. Medians of {ROUNDS} rounds, all ways in turn; a case of {LONG_S:.0f} s or
more was run once. "refused" is the share of all requests that the service answered with 429.

{table.markdown(header, rows)}

1. All are asked at the same moment: each place that becomes free wakes one that waits, and not all.
"""


def _medians(environment: dict[str, str], case: str, ways: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """Return for each way the medians of what `measure` returns."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for way in [*ways] * rounds:
        with running_server(environment, "benchmarks.limits", "--serve", "--case", case) as base_url:
            arguments = ("--way", way, "--case", case, "--base-url", base_url)
            found[way].append(run_python(environment, "-m", "benchmarks.limits", *arguments))
    return {way: {key: median(each[key] for each in runs) for key in runs[0]} for way, runs in found.items()}


if __name__ == "__main__":
    main()
