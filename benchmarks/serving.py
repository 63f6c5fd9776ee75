"""The serving benchmark: a thousand answers streamed at once by one process of a web server, ours and a bare one."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from http.client import HTTPConnection
from typing import Any

import psutil

from benchmarks import machine, table
from benchmarks.processes import PROJECT, hermetic_environment, running_server
from benchmarks.server import CHUNKS, FIRST_S, Conversation, Load
from benchmarks.serving_apps import BEAT_S
from benchmarks.ways import HISTORY, KEY, MODEL, QUESTION

WAYS = ("bare", "ours")
STREAMS, ROUNDS = 1_000, 3
GAP_S = 0.5  # a thousand answers are 2,000 chunks a second
ARRIVALS_S = {"at once": 0.0, "within 5 s": 5.0}
FILES = 4 * STREAMS  # a stream is a connection in and a connection out
LABELS = {
    "idle mb": "MB before the first request",
    "peak mb": "MB with all streams",
    "first p50": "ms to the first event, median (1)",
    "first p95": "ms to the first event, 95 % (1)",
    "late p50": "ms that the heartbeat is late, median (2)",
    "late p95": "ms that the heartbeat is late, 95 % (2)",
    "late max": "ms that the heartbeat is late, at most (2)",
    "cpu s": "s of CPU of the web server",
    "wall s": "s for all answers (3)",
}
Samples = defaultdict[str, defaultdict[str, list[float]]]


class Slow(Conversation):
    """A connection to a model that writes as slowly as a large one does under load."""

    gap_s = GAP_S


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the model or make the load where that is asked for, else run the whole benchmark."""
    parser = argparse.ArgumentParser(description="Stream a thousand answers at once.")
    parser.add_argument("--serve", action="store_true", help="the model, until killed")
    parser.add_argument("--load", type=int, metavar="PORT", help="ask the web server there, and print what was seen")
    parser.add_argument("--within", type=float, default=0.0, metavar="S", help="send the requests over so many seconds")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    _allow_files()
    if options.serve:
        asyncio.run(serve())
    elif options.load:
        print(json.dumps(asyncio.run(ask_all(options.load, options.within))))
    else:
        text = report(measure(options.rounds), options.rounds)
        print(text)
        table.write_section("serving", text)


async def serve() -> None:
    """Serve on a free loopback port; the address is the first line of the output."""
    server = await asyncio.get_running_loop().create_server(partial(Slow, Load()), "127.0.0.1", 0, backlog=STREAMS)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


async def ask_all(port: int, within_s: float) -> dict[str, Any]:
    """Ask `STREAMS` times; return the seconds to each first event and for everything. Raises where an answer is cut."""
    body = json.dumps({"question": QUESTION, "chat_history": HISTORY})
    request = (
        f"POST /chat HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )

    async def ask(number: int) -> float:
        await asyncio.sleep(within_s * number / STREAMS)
        start_s = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        before = await reader.readuntil(b"data: ")
        first_s = time.perf_counter() - start_s
        events = (before + await reader.read()).count(b"data: ")
        writer.close()
        if events != CHUNKS:
            raise ValueError(f"expected {CHUNKS} events, got {events}")
        return first_s

    start_s = time.perf_counter()
    firsts_s = await asyncio.gather(*(ask(number) for number in range(STREAMS)))
    return {"firsts": firsts_s, "wall": time.perf_counter() - start_s}


def measure(rounds: int) -> dict[str, Samples]:
    """Take every sample, by arrival; both ways run close together, and each goes first in turn."""
    found: dict[str, Samples] = {arrival: defaultdict(lambda: defaultdict(list)) for arrival in ARRIVALS_S}
    with hermetic_environment() as environment, running_server(environment, "benchmarks.serving", "--serve") as model:
        environment |= {"OPENAI_BASE_URL": model, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL}
        for number in range(rounds):
            for arrival, within_s in ARRIVALS_S.items():
                for way in WAYS[:: 1 if number % 2 == 0 else -1]:
                    for name, value in measure_once(environment, way, within_s).items():
                        found[arrival][name][way].append(value)
            print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return found


def measure_once(environment: dict[str, str], way: str, within_s: float) -> dict[str, float]:
    """Start a web server, load it from another process, and return the numbers of one round."""
    with web_server(environment, way) as (port, process):
        load = ("-m", "benchmarks.serving", "--load", str(port), "--within", "0")
        _get(port)
        idle_mb = _mb(process)
        cpu_s = sum(process.cpu_times()[:2])
        with subprocess.Popen(
            [sys.executable, *load[:-1], str(within_s)], env=environment, cwd=PROJECT, stdout=subprocess.PIPE
        ) as asking:
            peak_mb = idle_mb
            while asking.poll() is None:
                peak_mb = max(peak_mb, _mb(process))
                time.sleep(0.2)
            assert asking.stdout is not None
            seen = json.loads(asking.stdout.read())
        cpu_s = sum(process.cpu_times()[:2]) - cpu_s
        late_s = _get(port)
    firsts_ms, late_ms = sorted(s * 1e3 for s in seen["firsts"]), sorted(s * 1e3 for s in late_s)
    return {
        **{"idle mb": idle_mb, "peak mb": peak_mb, "cpu s": cpu_s, "wall s": seen["wall"]},
        **{"first p50": _share(firsts_ms, 0.5), "first p95": _share(firsts_ms, 0.95)},
        **{"late p50": _share(late_ms, 0.5), "late p95": _share(late_ms, 0.95), "late max": late_ms[-1]},
    }


@contextmanager
def web_server(environment: dict[str, str], way: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run uvicorn with one process; yield its port and its process."""
    app = f"benchmarks.serving_apps:{way}_app"
    command = ["-m", "uvicorn", "--factory", app, "--port", "0", "--backlog", "2048", "--no-access-log"]
    with subprocess.Popen(
        [sys.executable, *command], env=environment, cwd=PROJECT, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stderr is not None
        try:
            for line in serving.stderr:
                if "running on" in line:
                    yield int(line.split("127.0.0.1:")[1].split()[0]), psutil.Process(serving.pid)
                    break
        finally:
            serving.send_signal(signal.SIGINT)


def report(samples: dict[str, Samples], rounds: int) -> str:
    """Return the section of RESULTS.md."""
    header, pairs = ["", *WAYS, "ours / bare"], [("ours", "bare")]
    tables = "\n\n".join(
        f"### {STREAMS:,} requests {arrival}\n\n"
        + table.markdown(header, [table.row(label, found[name], WAYS, pairs) for name, label in LABELS.items()])
        for arrival, found in samples.items()
    )
    notes = [
        f"From the client's first connection attempt; the model's own {FIRST_S * 1e3:.0f} ms are part of it.",
        f"A timer of {BEAT_S * 1e3:.0f} ms on the web server's event loop: so long does anything else there wait.",
        f"The model's own waits: {FIRST_S + (CHUNKS - 1) * GAP_S:.1f} s, after the last request has come.",
    ]
    return f"""## Serving

{date.today()}, {machine.described(["starlette", "uvicorn", "openai", "aiohttp"])}. Reproduce with `make bench`.
Load of the machine meanwhile, this benchmark included: {os.getloadavg()[2]:.1f} processes on {os.cpu_count()} cores.

One process of uvicorn streams {STREAMS:,} answers at the same time, as server-sent events. The model and the clients
are processes of their own on the same cores. An answer has {CHUNKS} chunks, {GAP_S} s apart. bare: a Starlette endpoint
around openai's client over aiohttp. ours: the README's endpoint, which also fits the history into a budget of tokens.
Rounds: {rounds}, each with a fresh web server; medians, and in brackets the ratio's lowest and highest round.

{tables}

{table.numbered(notes)}
"""


def _allow_files() -> None:
    """Let this process and those it starts open as many files as the streams need, where the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, FILES) if hard == resource.RLIM_INFINITY else max(soft, min(FILES, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _get(port: int) -> list[float]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/heartbeat")
    found: list[float] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def _mb(process: psutil.Process) -> float:
    return float(getattr(process.memory_full_info(), "pss", 0)) / 2**20


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))]


if __name__ == "__main__":
    main()
