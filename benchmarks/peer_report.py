"""The section of RESULTS.md on the peers: a table for each number of lines, one for the faults, and where we lose."""

from __future__ import annotations

import os
from datetime import date
from statistics import median
from typing import Any

from benchmarks import machine, table
from benchmarks.batch_runs import floor_s
from benchmarks.peer_service import EVERY
from benchmarks.peer_table import AT_ONCE, BARE, FAULTY, LONGEST_S, OURS, PEERS

Sample = dict[str, float]
Row = dict[str, Any]
LOSES = """### Where we lose

- **Small runs start later.** With three lines `batch.py` takes 1.1 to 1.3 times as long as the bare client, and as
  autoevals: it reads the vocabulary, checks the data, and writes rows, figures and page. With 200 lines the bare client
  still ends a little sooner.
- **Memory.** 149 MB with 200 lines, where a small script with openai's client takes 63, autoevals 62, openevals 83 and
  pydantic-evals 98.
- **CPU.** With three lines 1.2 times the bare client's, with 200 lines 1.1 times; with 2,000 lines less than it.
- **Amid faults** the bare client, autoevals and openevals end about as soon as we do, or sooner.
- **A few lines of one's own do as well where the network fails.** A loop over openai's client or autoevals, with a try
  around each request, ends as truthfully as we do, and so do pydantic-evals and DeepEval. What they lack is the second
  run: all but DeepEval's cache and promptfoo's retry ask for everything again.
- **One request more.** A verdict in prose is asked for once more, on the first run and on the next: 15 requests where
  10 would do. Inspect's retry asks for nothing, but it takes the service's refusal for an answer and judges it.
- **Not compared:** what these libraries have and we have not, such as their own metrics, tools, agents, tracing
  services, web pages over many runs, or a hundred other providers.
"""


def report(measured: dict[str, Any]) -> str:
    """Return the section of RESULTS.md.

    measured: samples by way, by how many lines; the rows of "faults" by way; the "loads" of the machine.
    """
    parts = sorted((int(part), found) for part, found in measured.items() if part.isdigit())
    loads = measured["loads"].values()
    sizes = "\n\n".join(speed_table(size, found) for size, found in parts)
    missing = [peer.shown for peer in PEERS if not peer.is_installed]
    absent = f"Could not be installed here: {', '.join(missing)}.\n" if missing else ""
    versions = machine.described(["openai", "aiohttp"])
    return f"""## Peers

{date.today()}, {versions}; the peers' versions stand in the tables. Reproduce with `make bench-peers`.
Load of the machine meanwhile, this benchmark included: {min(loads):.1f} to {max(loads):.1f} processes on
{os.cpu_count()} cores. Where that is more than the cores, seconds are too long; then compare the ratios, of programs
that ran in turn, and the seconds of CPU.
{absent}
The job: answer every line, then judge its answer by two statements, {AT_ONCE} requests in flight. Each way is a program
as its library's documentation has a user write it (`benchmarks/peers/`), in an environment of its own, with telemetry
switched off by its documented switch. Where a library leaves the answering to its user (autoevals, openevals,
pydantic-evals, DeepEval, azure-ai-evaluation), that is openai's client, with a try around each request where the
library's own runner has none. The server, a process of its own, gives answer and verdict after the same waits as above,
in the form that the request asks for. this project: `batch.py --quiet`, which also keeps a journal and writes rows,
figures and page.

{sizes}

"program": seconds from start to exit. "before": from start to the first request. "span": from the first request to the
last reply, as the server saw it; "of floor": that over the server's own waits at {AT_ONCE} in flight. "CPU": seconds
of all processes of the program. "MB": their memory at one time, what they share counted once (PSS). "own truth": lines
with their own answer and both of their own scores. Medians of the rounds; the ratio's lowest and highest round in
brackets.

{fault_table(measured.get("faults", {}))}

{LOSES}"""


def speed_table(size: int, found: dict[str, list[Sample]]) -> str:
    """Return the table for so many lines."""
    names = ["program", "before", "span", "floor", "cpu", "peak", "in flight", "requests", "right"]
    header = ["", "program", "/ bare", "before", "span", "of floor", "CPU", "MB", "in flight", "requests", "own truth"]
    rows = []
    for way, samples in found.items():
        cells = [table.shown(median(sample[name] for sample in samples)) for name in names]
        ratios = [mine["program"] / bare["program"] for mine, bare in zip(samples, found[BARE], strict=True)]
        ratio = table.shown(median(ratios))
        if len(ratios) > 1:
            ratio += f" ({table.shown(min(ratios))} to {table.shown(max(ratios))})"
        counts = [f"{median(sample[name] for sample in samples):,.0f}" for name in names[-3:]]
        rows.append([way, cells[0], ratio, *cells[1:6], *counts])
    rows += [[peer.shown, *["-"] * (len(header) - 1)] for peer in PEERS if peer.shown not in found]
    rounds = len(found[BARE])
    floor = f"The floor: {floor_s(size, AT_ONCE):.2f} s."
    if any(peer.shown not in found for peer in PEERS):
        floor += f" Not run: who is expected to take over {LONGEST_S} s, by what 200 lines took."
    return f"### {size:,} lines, {rounds} round{'s' * (rounds > 1)}\n\n{floor}\n\n{table.markdown(header, rows)}"


def fault_table(faults: dict[str, Row]) -> str:
    """Return the table of the runs amid faults."""
    if not faults:
        return ""
    again = {OURS: "`--resume`", BARE: "the same program", **{peer.shown: peer.again for peer in PEERS}}
    header = ["", "exit", "program", "own truth", "unreadable taken", "wrong scores", "requests", "second run", "asks"]
    header += ["own truth then"]
    rows = [
        [
            *(way, str(row["exit"][0]), table.shown(row["program"]), str(row["right"][0]), str(row["taken"])),
            *(str(row["wrong"]), f"{row['requests'][0]:.0f}", again[way], f"{row['requests'][1]:.0f}"),
            str(row["right"][1]),
        ]
        for way, row in faults.items()
    ]
    refused, unreadable = (FAULTY // EVERY,) * 2
    return f"""### {FAULTY} lines amid faults, 1 round

10 % of the requests fail the first time, with status 429, 500 or 503 or a reset connection, and not again. {refused}
lines are refused for ever, with status 400. Of {unreadable} more, one verdict is prose, however often one asks.
"own truth": of the {FAULTY} lines, those with their own answer and scores, and with none where there is none to be had.
"unreadable taken": verdicts in prose that count as a score. "wrong scores": scores that no judge gave, those included.
"asks": the requests of a second run in the same folder, when only the faults that stay are left; {refused + unreadable}
would do after a first run that has lost nothing else. The exit code of a program without a runner of its library's own
is its author's.

{table.markdown(header, rows)}"""
