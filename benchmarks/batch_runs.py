"""The batch benchmark: every line answered, every answer judged, by several programs in turn, measured from outside."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import get_args

from benchmarks import machine, table
from benchmarks.batch_ways import BatchWay, command_of
from benchmarks.processes import finished_python, hermetic_environment, running_server, server_load
from benchmarks.server import ANSWER_S, WHOLE_S
from benchmarks.ways import HISTORY, KEY, MODEL

WAYS: tuple[BatchWay, ...] = get_args(BatchWay)
RATIOS = [("local", "bare"), ("promptflow", "local")]
AT_ONCE = {3: 16, 200: 64, 2_000: 64}  # lines and requests in flight, by how many lines there are
ROUNDS = {3: 5, 200: 3, 2_000: 1}  # 2,000 lines take minutes, and 6,000 requests even out by themselves
TUTORIAL_ONCE = (3, 200)  # lines; in the first round, for it takes a minute
PROCESSES = 4  # of promptflow's pool
STATEMENTS = {"correctness": "It explains what Prompt flow is.", "concise": "It is a concise statement."}
LOOK_EVERY_S = 0.2
LABELS = {
    "program s": "s from start to exit",
    "before s": "s from start to the first request",
    "span s": "s from the first request to the last answer (1)",
    "over floor": "the same, over the floor (2)",
    "cpu s": "s of CPU (3)",
    "peak mb": "MB of memory at most (4)",
    "in flight": "requests in flight at most (1)",
}

Samples = defaultdict[str, defaultdict[str, list[float]]]  # measurement, way, one number per round


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the whole benchmark and write it to RESULTS.md, or with --lines one size of it, and write nothing."""
    parser = argparse.ArgumentParser(description="Compare the ways to run a batch.")
    parser.add_argument("--lines", type=int, choices=AT_ONCE, help="only this size; RESULTS.md stays as it is")
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="only these")
    options = parser.parse_args(arguments)
    sizes = [options.lines] if options.lines else list(AT_ONCE)
    text = report({size: measure(size, options.rounds or ROUNDS[size], options.ways) for size in sizes})
    print(text)
    if not (options.lines or options.rounds or options.ways is not WAYS):
        table.write_section("batch", text)


def measure(size: int, rounds: int, ways: Sequence[BatchWay]) -> Samples:
    """Take every sample of that many lines; what is compared runs close together, and each way goes first in turn."""
    found: Samples = defaultdict(lambda: defaultdict(list))
    with hermetic_environment() as environment, running_server(environment) as base_url:
        environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL}
        data = Path(environment["HOME"], f"data-{size}.jsonl")
        data.write_text("".join(map(line, range(size))))
        for number in range(rounds):
            first = number % len(ways)
            for way in (*ways[first:], *ways[:first]):
                if way != "tutorial" or (number == 0 and size in TUTORIAL_ONCE):
                    for name, value in run_way(environment, way, data, size).items():
                        found[name][way].append(value)
            print(f"{size} lines: round {number + 1} of {rounds} done", file=sys.stderr)
    return found


def line(number: int) -> str:
    """Return one line of a data file."""
    asked = {"question": f"What is Prompt flow? (asked for the {number}th time)", "chat_history": HISTORY}
    return json.dumps({**asked, "statements": STATEMENTS}) + "\n"


def run_way(environment: dict[str, str], way: BatchWay, data: Path, size: int) -> dict[str, float]:
    """Run one way in a fresh process and, for it writes there, in a new folder."""
    base_url, at_once = environment["OPENAI_BASE_URL"], AT_ONCE[size]
    server_load(base_url)
    with tempfile.TemporaryDirectory() as folder:
        command, started_at = command_of(way, data, at_once), time.time()
        done = finished_python(environment, *command, folder=Path(folder), look_every_s=LOOK_EVERY_S)
    load = server_load(base_url)
    if load["requests"] != 3 * size:
        raise ValueError(f"{way}: expected {3 * size} requests for {size} lines, the server had {load['requests']}")
    span_s = load["last_at"] - load["first_at"]
    return {
        "program s": done.wall_s,
        "before s": load["first_at"] - started_at,
        "span s": span_s,
        "over floor": span_s / floor_s(size, at_once),
        "cpu s": done.cpu_s,
        "peak mb": done.peak_mb,
        "in flight": load["most_in_flight"],
    }


def floor_s(size: int, at_once: int) -> float:
    """Return the least time in which the server's waits for so many lines fit, never more than `at_once` together."""
    return max(ANSWER_S + WHOLE_S, size * (ANSWER_S + 2 * WHOLE_S) / at_once)


def report(samples: dict[int, Samples]) -> str:
    """Return the section of RESULTS.md."""
    sizes = "\n\n".join(report_size(size, found) for size, found in samples.items())
    own_s = floor_s(max(AT_ONCE), PROCESSES)
    notes = [
        "As the server saw it.",
        "The floor is the sum of the server's own waits for all requests, divided by how many are in flight, and at "
        "least an answer and then a verdict. No client can be at 1.00 with a last round that is not full.",
        "Of all processes but the server's, from their start to their end, imports included.",
        f"Of all processes at one time, looked at every {LOOK_EVERY_S} s; memory that they share counts once (PSS).",
        f"`PFClient.run` takes {PROCESSES} processes, whatever is in flight. Run once on "
        f"{' and on '.join(map(str, TUTORIAL_ONCE))} lines, in the first round, and not on {max(AT_ONCE):,}: over "
        f"{own_s:.0f} s expected.",
    ]
    return f"""## Batch

{date.today()}, {machine.described(["promptflow", "openai", "tiktoken"])}. Reproduce with `make bench`.
Load of the machine meanwhile, this benchmark included: {os.getloadavg()[2]:.1f} processes on {os.cpu_count()} cores.
Where that is more than the cores, seconds of waiting are too long; then compare ratios and seconds of CPU.

Every line is answered, then its answer judged by two statements, a request each. The server, a process of its own,
streams an answer in {ANSWER_S:.2f} s and gives a verdict whole after {WHOLE_S:.2f} s. tutorial: promptflow as its
tutorial uses it (`tutorial_way.py`, `tutorial_judge.py`). bare: openai's client over aiohttp and a semaphore; a line's
verdicts are asked for as soon as it is answered. local and promptflow: `batch.py --engine` of that name, which also
fits the history into a budget of tokens, keeps a journal, sums up and writes rows, figures and page. Each in fresh
processes, measured from outside; medians of the rounds, in brackets the ratio's lowest and highest round. Less is
better, but for what is in flight.

{sizes}

{table.numbered(notes)}
"""


def report_size(size: int, found: Samples) -> str:
    """Return the table for so many lines."""
    header = ["", "tutorial (5)", *WAYS[1:], *(f"{above} / {below}" for above, below in RATIOS)]
    rows = [table.row(label, found[name], WAYS, RATIOS) for name, label in LABELS.items()]
    rounds = max(map(len, found["program s"].values()))
    return f"""### {size:,} lines, {AT_ONCE[size]} in flight

{rounds} round{"s" * (rounds > 1)}. The floor: {floor_s(size, AT_ONCE[size]):.2f} s.

{table.markdown(header, rows)}"""


if __name__ == "__main__":
    main()
