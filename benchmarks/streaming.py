"""The streaming benchmark: three ways in one run, round-robin, in processes of their own."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from statistics import median
from typing import get_args

from benchmarks import machine, measure, table
from benchmarks.processes import hermetic_environment, run_python, running_server
from benchmarks.server import ANSWER_S
from benchmarks.ways import WayName

WAYS: tuple[WayName, ...] = get_args(WayName)
RATIOS = [("ours", "bare"), ("tutorial", "ours")]
ROUNDS = 5
# Answers by how many are in flight. The tutorial's way gives one after the other whatever is asked, so few will do.
ANSWERS = {1: 8, 16: 64, 64: 256, 256: 512}
TUTORIAL_ANSWERS = {1: 8, 16: 3, 64: 6, 256: 3}
LENGTHS = (100, 1_000, 10_000, 100_000)
TUTORIAL_LENGTHS, TUTORIAL_LENGTHS_ONCE = (100,), (100, 1_000)
MODULES: dict[WayName, str] = {"tutorial": "benchmarks.tutorial_way", "bare": "openai", "ours": "flow"}

Samples = defaultdict[str, defaultdict[str, list[float]]]  # measurement, way, one number per round


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one thing and print it as JSON where a way is named, else run the whole benchmark."""
    parser = argparse.ArgumentParser(description="Compare three ways to stream an answer.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="of the whole benchmark (%(default)s)")
    alone = parser.add_argument_group("one measurement in this process")
    alone.add_argument("--way", choices=WAYS)
    alone.add_argument("--row", choices=("throughput", "trim"), default="throughput")
    alone.add_argument("--base-url", help="of the server, python -m benchmarks.server")
    alone.add_argument("--in-flight", type=int, nargs="+", default=[1], metavar="N")
    alone.add_argument("--answers", type=int, nargs="+", default=[8], metavar="N", help="one number per --in-flight")
    alone.add_argument("--messages", type=int, nargs="+", default=[100], metavar="N")
    options = parser.parse_args(arguments)
    if options.way is None:
        run_all(options.rounds)
    elif options.row == "trim":
        print(json.dumps(asyncio.run(measure.trim(options.way, options.messages))))
    else:
        answers = dict(zip(options.in_flight, options.answers, strict=True))
        print(json.dumps(asyncio.run(measure.throughput(options.way, options.base_url, answers))))


def run_all(rounds: int) -> None:
    """Run every measurement `rounds` times, print the table and write it to RESULTS.md."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    with hermetic_environment() as environment, running_server(environment) as base_url:
        for number in range(rounds):
            start_s = time.perf_counter()
            run_round(samples, number, base_url, environment)
            print(f"round {number + 1} of {rounds}: {time.perf_counter() - start_s:.0f} s", file=sys.stderr)
    text = report(samples, rounds)
    print(text)
    table.write_section("streaming", text)


def run_round(samples: Samples, number: int, base_url: str, environment: dict[str, str]) -> None:
    """Take one sample of everything; what is compared runs close together, and each way goes first in turn."""
    ways = (*WAYS[number % 3 :], *WAYS[: number % 3])

    def take(way: WayName, row: str, **numbers: Iterable[int]) -> None:
        command = f"-m benchmarks.streaming --way {way} --row {row} --base-url {base_url}".split()
        for name, values in numbers.items():
            command += [f"--{name.replace('_', '-')}", *map(str, values)]
        for name, value in run_python(environment, *command).items():
            samples[name][way].append(value)

    for in_flight, answers in ANSWERS.items():
        for way in ways:
            if way != "tutorial":
                take(way, "throughput", in_flight=[in_flight], answers=[answers])
            elif in_flight == 1:  # all in one process: it takes seconds to start
                take(way, "throughput", in_flight=TUTORIAL_ANSWERS, answers=TUTORIAL_ANSWERS.values())
    take("ours", "trim", messages=LENGTHS)
    take("tutorial", "trim", messages=TUTORIAL_LENGTHS if number else TUTORIAL_LENGTHS_ONCE)
    for way in ways:
        timed = f"import time; s = time.perf_counter(); import {MODULES[way]}; print(time.perf_counter() - s)"
        samples["import"][way].append(run_python(environment, "-c", timed))


def report(samples: Samples, rounds: int) -> str:
    """Return the section of RESULTS.md."""
    labels = {
        "first_ms 1": "ms to the first chunk above the server's own 0.1 s",
        "cpu_ms 1": "ms of CPU per answer, one at a time",
        "cpu_ms 64": "ms of CPU per answer, 64 in flight (1)",
        **{f"per_s {in_flight}": f"answers per second, {in_flight} in flight (1)" for in_flight in ANSWERS},
        "peak_mb 1": f"MB of memory at most, {ANSWERS[1]} answers",
        **{f"trim {length}": f"ms to trim {length:,} messages (2)" for length in LENGTHS},
        "import": "s to import (3)",
    }
    header = ["", *WAYS, *(f"{above} / {below}" for above, below in RATIOS)]
    rows = [table.row(label, samples[name], WAYS, RATIOS) for name, label in labels.items()]
    given = ", ".join(f"{answers} at {in_flight}" for in_flight, answers in ANSWERS.items())
    fewest, most = min(TUTORIAL_ANSWERS.values()), max(TUTORIAL_ANSWERS.values())
    ceiling = ", ".join(f"{in_flight / ANSWER_S:.3g} at {in_flight}" for in_flight in ANSWERS)
    notes = [
        f"Asked for {given}; the tutorial's way, which answers one after the other whatever is in flight, for "
        f"{fewest} to {most}. The server's own waits allow {ceiling} at most. {server_load(samples)}",
        f"To {measure.TRIM_TO:,} tokens, half of them the reply's; the bare client trims nothing. The tutorial's loop "
        "was run once on 1,000 messages, in the first round, and not on more: over 20 s expected.",
        "`import flow`, `import openai`, and the tutorial's module, which imports promptflow.",
    ]
    return f"""## Streaming

{date.today()}, {machine.described(["promptflow", "openai", "tiktoken"])}. Reproduce with `make bench`.

The server, a process of its own, waits 0.1 s and sends 20 chunks, 10 ms apart. tutorial: promptflow as its tutorial
uses it (`tutorial_way.py`). bare: one openai client over aiohttp, nothing around it. ours: `flow.ChatFlow`.
Medians of {rounds} rounds, each in fresh processes; in brackets the lowest and the highest round.
More is better for answers per second, less for all else.

{table.markdown(header, rows)}

{table.numbered(notes)}
"""


def server_load(samples: Samples) -> str:
    """Say how busy the server was where it was busiest; below half a core it could do twice as much."""
    loads = {in_flight: max(map(median, samples[f"server_cores {in_flight}"].values())) for in_flight in ANSWERS}
    in_flight, cores = max(loads.items(), key=lambda load: load[1])
    verdict = "it held nobody up" if cores <= 0.5 else "it may have held the faster clients up"
    return f"The server used at most {cores:.0%} of one core, at {in_flight} in flight: {verdict}."


if __name__ == "__main__":
    main()
