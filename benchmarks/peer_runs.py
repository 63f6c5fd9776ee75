"""The peers' benchmark: one job by several libraries, its speed where all goes well, its truth amid faults."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks import table
from benchmarks.batch_runs import floor_s
from benchmarks.peer_report import Row, Sample, report
from benchmarks.peer_service import STATEMENTS, line, truth
from benchmarks.peer_table import AT_ONCE, BARE, FAULTY, INSTALLED, LONGEST_S, OURS, PEERS
from benchmarks.processes import PROJECT, Finished, finished, hermetic_environment, running_server, server_load
from benchmarks.ways import KEY, MODEL

ROUNDS = {3: 3, 200: 3, 2_000: 1}
LOOK_EVERY_S = 0.2
SAMPLES = INSTALLED / "samples.json"
QUIET = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "LANGSMITH_TRACING": "false",
    "PYDANTIC_DISABLE_PLUGINS": "logfire-plugin",
}


def commands(data: Path, again: bool = False) -> dict[str, list[str]]:
    """Return each way's command, of those that are installed. again: the second run in the same folder."""
    batch = [str(PROJECT / "batch.py"), "--quiet", "--data", str(data), "--concurrency", str(AT_ONCE)]
    found = {
        OURS: [sys.executable, *batch, *(["--resume", "out"] if again else ["--out", "out"])],
        BARE: [sys.executable, "-m", "benchmarks.peers.bare", str(data), str(AT_ONCE)],
    }
    for peer in PEERS:
        if peer.is_installed:
            found[peer.shown] = [str(peer.python), "-m", f"benchmarks.peers.{peer.name}", str(data), str(AT_ONCE)]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, or with --lines and --faults a part of it, and write the section of RESULTS.md.

    What is not run anew stands as it was last measured, in .bench/samples.json.
    """
    parser = argparse.ArgumentParser(description="Compare libraries of several makers.")
    parser.add_argument("--lines", type=int, choices=ROUNDS, nargs="*", help="only these sizes")
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    parser.add_argument("--faults", action="store_true", help="only the part with faults")
    options = parser.parse_args(arguments)
    everything = options.lines is None and not options.faults
    for size in ROUNDS if everything else options.lines or ():
        keep(str(size), measure(size, options.rounds or ROUNDS[size]))
    if everything or options.faults:
        keep("faults", measure_faults())
    text = report(kept())
    print(text)
    table.write_section("peers", text)


def kept() -> dict[str, Any]:
    """Return what has been measured: samples by way, by how many lines, and the rows of "faults" by way."""
    found: dict[str, Any] = json.loads(SAMPLES.read_text()) if SAMPLES.exists() else {}
    return found


def keep(part: str, found: Any) -> None:
    """Keep a part, and how busy the machine was in the last quarter of an hour."""
    loads = {**kept().get("loads", {}), part: os.getloadavg()[2]}
    SAMPLES.write_text(json.dumps({**kept(), part: found, "loads": loads}))


def measure(size: int, rounds: int) -> dict[str, list[Sample]]:
    """Take every sample of so many lines; the ways run one after the other, and each round begins with another one."""
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    with hermetic_environment() as environment, running_server(environment, "benchmarks.peer_service") as base_url:
        environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL, **QUIET}
        data = written(environment, size)
        for number in range(rounds):
            ways = list(commands(data).items())
            first = number * 2 % len(ways)
            for way, command in (*ways[first:], *ways[:first]):
                if expected_s(way, size) > LONGEST_S:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    done, load, before_s = run(environment, command, Path(folder), base_url)
                    right = sum(is_right(row, faults=False) for row in rows_in(Path(folder)))
                span_s = load["last_at"] - load["first_at"]
                found[way].append(
                    {
                        **{"program": done.wall_s, "before": before_s, "span": span_s, "cpu": done.cpu_s},
                        **{"floor": span_s / floor_s(size, AT_ONCE), "peak": done.peak_mb},
                        **{"in flight": load["most_in_flight"], "requests": load["requests"], "right": right},
                    }
                )
                print(f"{size} lines, {way}: {done.wall_s:.1f} s, {right} right", file=sys.stderr)
    return found


def expected_s(way: str, size: int) -> float:
    """Return how long a way is expected to take, by what it took for fewer lines; 0 where that is not known."""
    fewer = kept().get("200", {}).get(way) if size > 200 else None
    return size / 200 * median(sample["span"] for sample in fewer) if fewer else 0.0


def measure_faults() -> dict[str, Row]:
    """Run each way twice amid faults, the second time with those faults gone that pass."""
    found: dict[str, Row] = {}
    for way in commands(Path()):
        with (
            hermetic_environment() as environment,
            running_server(environment, "benchmarks.peer_service", "--faults") as base_url,
            tempfile.TemporaryDirectory() as name,
        ):
            environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL, **QUIET}
            data, folder = written(environment, FAULTY), Path(name)
            done, load, _ = run(environment, commands(data)[way], folder, base_url)
            first = rows_in(folder)
            connection = HTTPConnection(urlsplit(base_url).netloc, timeout=30)
            connection.request("GET", "/heal")
            connection.getresponse().read()
            again, more, _ = run(environment, commands(data, again=True)[way], folder, base_url)
            second = rows_in(folder)
        found[way] = {
            "exit": (done.code, again.code),
            "program": done.wall_s,
            "right": (sum(is_right(row, True) for row in first), sum(is_right(row, True) for row in second)),
            "taken": sum(is_taken(row) for row in first),
            "wrong": sum(map(wrong_scores, first)),
            "requests": (load["requests"], more["requests"]),
        }
        print(f"faults, {way}: {found[way]}", file=sys.stderr)
    return found


def written(environment: dict[str, str], size: int) -> Path:
    """Write a data file of so many lines."""
    data = Path(environment["HOME"], f"data-{size}.jsonl")
    data.write_text("".join(json.dumps(line(number)) + "\n" for number in range(size)))
    return data


def run(
    environment: dict[str, str], command: Sequence[str], folder: Path, base_url: str
) -> tuple[Finished, dict[str, float], float]:
    """Run a program; return what it took, what the server saw of it, and the seconds before its first request."""
    server_load(base_url)
    started_at = time.time()
    done = finished(command, environment, folder, LOOK_EVERY_S)
    load = server_load(base_url)
    return done, load, load["first_at"] - started_at


def rows_in(folder: Path) -> list[Row]:
    """Return a record for each line that the program has results of: its number, its answer, its scores."""
    found: list[Row] = []
    with suppress(FileNotFoundError):
        for row in map(json.loads, (folder / "results.jsonl").read_text().splitlines()):
            scores = {
                name: None if score is None or math.isnan(score) else score for name, score in row["scores"].items()
            }
            found.append({"line": number_in(row["question"]), "answer": row["answer"], "scores": scores})
    with suppress(FileNotFoundError):
        for row in map(json.loads, (folder / "out" / "details.jsonl").read_text().splitlines()):
            scores = {name: verdict["score"] for name, verdict in (row["verdicts"] or {}).items()}
            found.append({"line": number_in(row["question"]), "answer": row["answer"], "scores": scores})
    return found


def number_in(question: str) -> int:
    """Return the line's number."""
    asked = re.search(r"the (\d+)th", question)
    assert asked
    return int(asked[1])


def is_right(row: Row, faults: bool) -> bool:
    """Say whether a line ended with its own answer and its own scores, and with none where there is none to be had."""
    answered, scores = truth(row["line"], faults)
    said = {name: row["scores"].get(name) for name in STATEMENTS}
    return said == scores and (f"[line {row['line']}]" in row["answer"] if answered else row["answer"] is None)


def is_taken(row: Row) -> bool:
    """Say whether a verdict that cannot be read was taken for a score."""
    answered, scores = truth(row["line"], faults=True)
    return answered and scores["correctness"] is None and row["scores"].get("correctness") is not None


def wrong_scores(row: Row) -> int:
    """Return how many scores the line has that no judge gave."""
    _, scores = truth(row["line"], faults=True)
    return sum(score is not None and score != scores[name] for name, score in row["scores"].items())


if __name__ == "__main__":
    main()
