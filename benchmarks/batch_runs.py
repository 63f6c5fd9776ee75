"""The batch benchmark: every line answered, every answer judged, three ways in one run, in processes of their own."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import get_args

from benchmarks import batch_ways, machine, table
from benchmarks.processes import finished_python, hermetic_environment, running_server
from benchmarks.server import ANSWER_S, WHOLE_S
from benchmarks.ways import HISTORY, KEY, MODEL, WayName

WAYS: tuple[WayName, ...] = get_args(WayName)
RATIOS = [("ours", "bare"), ("tutorial", "ours")]
AT_ONCE = {3: 16, 200: 64, 2_000: 64}  # lines and requests in flight, by how many lines there are
ROUNDS = {3: 5, 200: 5, 2_000: 3}
TUTORIAL_ONCE = (3, 200)  # lines; in the first round, for it takes a minute
PROCESSES = 4  # of promptflow's pool
STATEMENTS = {"correctness": "It explains what Prompt flow is.", "concise": "It is a concise statement."}
LOOK_EVERY_S = 0.2
LABELS = {
    "answers s": "s to answer every line",
    "verdicts s": "s to judge every answer",
    "both s": "s for both (1)",
    "program s": "s for the program (2)",
    "cpu s": "s of CPU for both (3)",
    "peak mb": "MB of memory at most (4)",
    "answers in flight": "answers in flight at most",
    "verdicts in flight": "verdicts in flight at most",
}

Samples = defaultdict[str, defaultdict[str, list[float]]]  # measurement, way, one number per round


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one run and print it as JSON where a way is named, else run the whole benchmark."""
    parser = argparse.ArgumentParser(description="Compare three ways to run a batch.")
    alone = parser.add_argument_group("one measurement in this process and folder")
    alone.add_argument("--way", choices=WAYS)
    alone.add_argument("--base-url", help="of the server, python -m benchmarks.server")
    alone.add_argument("--data", type=Path, help="lines with two statements each")
    alone.add_argument("--at-once", type=int, default=64, metavar="N", help="requests in flight (%(default)s)")
    options = parser.parse_args(arguments)
    if options.way:
        print(json.dumps(batch_ways.measure(options.way, options.base_url, options.data, options.at_once)))
    else:
        run_all()


def run_all() -> None:
    """Run every measurement, print the tables and write them to RESULTS.md."""
    samples: dict[int, Samples] = {size: defaultdict(lambda: defaultdict(list)) for size in AT_ONCE}
    with hermetic_environment() as environment, running_server(environment) as base_url:
        environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL}
        for size, found in samples.items():
            data = Path(environment["HOME"], f"data-{size}.jsonl")
            data.write_text("".join(map(line, range(size))))
            for number in range(ROUNDS[size]):
                start_s = time.perf_counter()
                run_round(found, number, size, data, environment)
                took_s = time.perf_counter() - start_s
                print(f"{size} lines, round {number + 1} of {ROUNDS[size]}: {took_s:.0f} s", file=sys.stderr)
    text = report(samples)
    print(text)
    table.write_section("batch", text)


def line(number: int) -> str:
    """Return one line of a data file."""
    asked = {"question": f"What is Prompt flow? (asked for the {number}th time)", "chat_history": HISTORY}
    return json.dumps({**asked, "statements": STATEMENTS}) + "\n"


def run_round(samples: Samples, number: int, size: int, data: Path, environment: dict[str, str]) -> None:
    """Take one sample of everything; what is compared runs close together, and each way goes first in turn."""
    for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
        if way != "tutorial" or (number == 0 and size in TUTORIAL_ONCE):
            command = f"-m benchmarks.batch_runs --way {way} --at-once {AT_ONCE[size]}".split()
            command += ["--base-url", environment["OPENAI_BASE_URL"], "--data", str(data)]
            for name, value in run_way(environment, *command).items():
                samples[name][way].append(value)


def run_way(environment: dict[str, str], *command: str) -> dict[str, float]:
    """Run one way in a fresh process and, for it writes there, in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        done = finished_python(environment, *command, folder=Path(folder), look_every_s=LOOK_EVERY_S)
    found: dict[str, float] = json.loads(done.printed.splitlines()[-1])
    cpu_s = done.cpu_s - found.pop("cpu before s")
    return {**found, "program s": done.wall_s, "cpu s": cpu_s, "peak mb": done.peak_mb}


def report(samples: dict[int, Samples]) -> str:
    """Return the section of RESULTS.md."""
    sizes = "\n\n".join(report_size(size, found) for size, found in samples.items())
    own_s = (max(AT_ONCE) * ANSWER_S + 2 * max(AT_ONCE) * WHOLE_S) / PROCESSES
    notes = [
        "The call, `flowkit.run.job.Job.run` of ours, without imports and preparations.",
        "The process from its start to its end. Of ours that is `batch.py`, which also reads the model's vocabulary, "
        "prints and writes the results.",
        "Of all processes, from the call to their end.",
        f"Of all processes at one time, looked at every {LOOK_EVERY_S} s; memory that they share counts once (PSS).",
        f"`PFClient.run` takes {PROCESSES} processes, whatever is in flight. Run once on "
        f"{' and on '.join(map(str, TUTORIAL_ONCE))} lines, in the first round, and not on {max(AT_ONCE):,}: over "
        f"{own_s:.0f} s expected.",
    ]
    return f"""## Batch

{date.today()}, {machine.described(["promptflow", "openai", "tiktoken"])}. Reproduce with `make bench`.

Every line is answered, then every answer judged by two statements, a request each. The server, a process of its own,
streams an answer in 0.3 s, as above, and gives a verdict whole after 0.3 s. tutorial: promptflow as its tutorial uses
it (`tutorial_way.py`, `tutorial_judge.py`). bare: a client of openai's over aiohttp and a semaphore. ours: what
`batch.py` runs, with 16 in flight by default. Medians of several rounds, each in fresh processes; in brackets the
lowest and the highest round. Less is better, but for what is in flight.

{sizes}

{table.numbered(notes)}
"""


def report_size(size: int, found: Samples) -> str:
    """Return the table for so many lines."""
    header = ["", "tutorial (5)", *WAYS[1:], *(f"{above} / {below}" for above, below in RATIOS)]
    rows = [table.row(label, found[name], WAYS, RATIOS) for name, label in LABELS.items()]
    answers_s, verdicts_s = math.ceil(size / AT_ONCE[size]) * ANSWER_S, math.ceil(2 * size / AT_ONCE[size]) * WHOLE_S
    return f"""### {size:,} lines, {AT_ONCE[size]} in flight

{ROUNDS[size]} rounds. The server's own waits: {answers_s:.2f} s for the answers, {verdicts_s:.2f} s for the verdicts.

{table.markdown(header, rows)}"""


if __name__ == "__main__":
    main()
