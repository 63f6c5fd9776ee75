"""One measurement, in the process that was started for it."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import median

from benchmarks.processes import server_load
from benchmarks.server import REST_OF_ANSWER
from benchmarks.ways import HISTORY, MODEL, QUESTION, Ask, Message, WayName, opened, tutorial

TRIM_TO = 2048  # tokens, half of them the reply's: some forty messages are kept
TRIM_FOR_S = 1.0  # go round the lengths for so long, once at least, and take the medians
SAID = "Prompt flow is a toolkit for building and checking applications of language models, from idea to service."


async def throughput(way: WayName, base_url: str, answers: Mapping[int, int]) -> dict[str, float]:
    """Read answers, {how many at once: how many in all}, one number at once after the other.

    Of each, by the name and how many at once. first_ms: median time to the first piece, less what the server took.
    cpu_ms: of this process, per answer. peak_mb: the most memory the process has had so far. server_cores: how busy
    the server was, 1 for a whole core.
    """
    found: dict[str, float] = {}
    async with opened(way, base_url) as ask:
        for in_flight, count in answers.items():
            await _read_answers(ask, in_flight, min(in_flight, count // 2) + 1)  # to warm up
            gc.collect()  # a collection amid a few answers would count for many
            server_s, cpu_s, start_s = server_load(base_url)["cpu_s"], time.process_time(), time.perf_counter()
            firsts_s = await _read_answers(ask, in_flight, count)
            wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
            found |= {
                f"first_ms {in_flight}": median(firsts_s) * 1e3,
                f"cpu_ms {in_flight}": cpu_s / count * 1e3,
                f"per_s {in_flight}": count / wall_s,
                f"peak_mb {in_flight}": _peak_mb(),
                f"server_cores {in_flight}": (server_load(base_url)["cpu_s"] - server_s) / wall_s,
            }
    return found


async def trim(way: WayName, lengths: Sequence[int]) -> dict[str, float]:
    """Return the milliseconds that it takes to fit a history of so many messages into TRIM_TO tokens."""
    trimmed = _tutorial_trimmer() if way == "tutorial" else _our_trimmer()
    history = [{"role": ("user", "assistant")[i % 2], "content": f"{i} {SAID}"} for i in range(max(lengths))]
    histories = {f"trim {length}": history[:length] for length in lengths}
    await trimmed(history[:2])
    times_ms: dict[str, list[float]] = {name: [] for name in histories}
    end_s = time.perf_counter() + TRIM_FOR_S
    while not all(times_ms.values()) or time.perf_counter() < end_s:
        for name, each in histories.items():
            start_s = time.perf_counter()
            await trimmed(each)
            times_ms[name].append((time.perf_counter() - start_s) * 1e3)
    return {name: median(times) for name, times in times_ms.items()}


async def _read_answers(ask: Ask, in_flight: int, answers: int) -> list[float]:
    firsts_s: list[float] = []
    tickets = iter(range(answers))

    async def read() -> None:
        for _ in tickets:
            firsts_s.append(await _read_answer(ask))

    await asyncio.gather(*(read() for _ in range(in_flight)))
    return firsts_s


async def _read_answer(ask: Ask) -> float:
    """Return the seconds to the first piece, less those the server took; the answer must come whole."""
    pieces: list[str] = []
    start_s = first_s = time.perf_counter()
    async for piece in ask(QUESTION, HISTORY):
        if not pieces:
            first_s = time.perf_counter()
        pieces.append(piece)
    server_us, *rest = pieces
    if "".join(rest) != REST_OF_ANSWER:
        raise ValueError(f"expected an answer of {len(REST_OF_ANSWER)} characters, got {len(''.join(rest))}")
    return first_s - start_s - int(server_us) / 1e6


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _our_trimmer() -> Callable[[list[Message]], Awaitable[object]]:
    from flow import BASE_DIR
    from flowkit.prompt.budget import fitted_messages
    from flowkit.prompt.prompty import Prompt

    prompt = Prompt.load(BASE_DIR / "chat.prompty")
    return lambda history: fitted_messages(prompt, MODEL, QUESTION, history, TRIM_TO)


def _tutorial_trimmer() -> Callable[[list[Message]], Awaitable[object]]:
    flow = tutorial("http://127.0.0.1/v1", TRIM_TO)  # nothing is sent there
    prompty = flow.load()

    async def trimmed(history: list[Message]) -> object:
        return flow.trimmed(prompty, QUESTION, history)

    return trimmed
