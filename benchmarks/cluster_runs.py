"""The benchmark of the run on Ray: scaling where waiting is the limit, and the driver at a million lines."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import machine, table
from benchmarks.processes import PROJECT, hermetic_environment, running_server
from benchmarks.server import ANSWER_S
from benchmarks.ways import KEY, MODEL
from flowkit.data.rows import read_rows

LINES, PER_WORKER = 10_000, 16
WORKERS = (1, 2, 4)
MANY = (10_000, 1_000_000)
STATEMENTS = {"correctness": "It explains what Prompt flow is."}


def main() -> None:
    """Run every measurement, print the tables and write them to RESULTS.md."""
    with hermetic_environment() as environment:
        environment |= {"RAY_USAGE_STATS_ENABLED": "0"}
        with running_server(environment) as base_url:
            environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": MODEL}
            data = write_lines(Path(environment["HOME"], "lines.jsonl"), LINES, {})
            found = {"here": run_batch(environment, data, PER_WORKER, [])}
            for workers in WORKERS:
                more = ["--engine", "ray", "--workers", str(workers)]
                found[f"{workers} on Ray"] = run_batch(environment, data, PER_WORKER * workers, more)
        drivers = [run_instant(environment, count) for count in MANY]
    text = report(found, drivers)
    print(text)
    table.write_section("cluster", text)


def write_lines(path: Path, count: int, statements: dict[str, str]) -> Path:
    """Write so many lines, each with a question of its own."""
    with path.open("w") as file:
        for number in range(count):
            line = {"question": f"What is Prompt flow? (asked for the {number}th time)", "statements": statements}
            file.write(json.dumps(line) + "\n")
    return path


def run_batch(environment: dict[str, str], data: Path, at_once: int, more: list[str]) -> dict[str, float]:
    """Run batch.py in a fresh process, and return seconds and CPU seconds of all its processes."""
    with tempfile.TemporaryDirectory() as out:
        command = ["batch.py", "--data", str(data), "--out", out, "--quiet", "--concurrency", str(at_once), *more]
        start_s, cpu_s = time.perf_counter(), dict[int, float]()
        pipe: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, *command], cwd=PROJECT, env=environment, **pipe) as running:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    _, complaints = running.communicate(timeout=0.5)
                    break
                note_cpu(running.pid, cpu_s)
        if running.returncode:
            raise RuntimeError(f"batch.py ended with {running.returncode}: {complaints[-2000:]}")
        program_s = time.perf_counter() - start_s
        times = [row.timing for row in read_rows(Path(out)) if row.timing]
    asked = [datetime.fromisoformat(each.asked_at).timestamp() for each in times]
    answering_s = max(at + (each.total_s or 0.0) for at, each in zip(asked, times, strict=True)) - min(asked)
    return {"answering s": answering_s, "program s": program_s, "cpu s": sum(cpu_s.values())}


def note_cpu(process_id: int, cpu_s: dict[int, float]) -> None:
    """Keep the CPU seconds of a process and its descendants as they are now, by process."""
    with suppress(psutil.Error):
        top = psutil.Process(process_id)
        for process in (top, *top.children(recursive=True)):
            with suppress(psutil.Error):
                used = process.cpu_times()
                cpu_s[process.pid] = used.user + used.system


def run_instant(environment: dict[str, str], count: int) -> dict[str, float]:
    """Run so many lines whose flows answer at once."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_lines(Path(folder, "lines.jsonl"), count, STATEMENTS)
        command = [sys.executable, "-m", "benchmarks.instant", str(data), f"{folder}/out"]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"benchmarks.instant ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(found: dict[str, dict[str, float]], drivers: list[dict[str, float]]) -> str:
    """Return the section of RESULTS.md."""
    one = found["1 on Ray"]["answering s"]
    scaling = []
    for way, took in found.items():
        count = int(way.split()[0]) if way != "here" else 1
        floor_s = LINES * ANSWER_S / (PER_WORKER * count)
        numbers = [took["answering s"], floor_s, LINES / took["answering s"], one / took["answering s"] / count]
        numbers += [took["program s"], took["cpu s"], LINES / took["cpu s"]]
        scaling.append([way, *map(table.shown, numbers)])
    header = ["workers", "s to answer (1)", "floor (2)", "answers a s", "of linear (3)"]
    header += ["s for the program", "CPU s (4)", "answers a CPU s"]
    memory = [[f"{int(each['lines']):,}", *(table.shown(each[name]) for name in DRIVER)] for each in drivers]
    more_mb = drivers[1]["driver peak mb"] - drivers[0]["driver peak mb"]
    notes = [
        "From the first request to the end of the last answer. Starting Ray and its workers takes some 10 s more.",
        f"The server's own waits, {ANSWER_S:.2f} s an answer, {PER_WORKER} at once a worker.",
        "The speed of one worker on Ray, times the number of workers, is 1.",
        "Of all processes but the server's, looked at every 0.5 s.",
        "Cutting the data into shards, which checks every line; with `--engine ray` it comes before the first request.",
    ]
    return f"""## On Ray

{date.today()}, {machine.described(["ray", "pyarrow", "openai"])}. Reproduce with `make bench-ray`.

{LINES:,} lines without statements, {PER_WORKER} requests in flight a worker; the server, a process of its own, streams
an answer in {ANSWER_S:.2f} s. So waiting is the limit, and not the two cores: at more than about as many answers a
second as two CPU seconds yield, the client's CPU is. here: `batch.py` without Ray, one process. Each measured once.

{table.markdown(header, scaling)}

The driver, with flows that answer at once, without a request, on two workers, a verdict a line:

{table.markdown(["lines", *(label for label in DRIVER.values())], memory)}

The driver takes {more_mb:.0f} MB more for {MANY[1]:,} lines than for {MANY[0]:,}: it holds no line, only sums.

{table.numbered(notes)}"""


DRIVER = {
    "laid out s": "s to cut (5)",
    "run s": "s to run",
    "all s": "s with report",
    "driver cpu s": "CPU s of the driver",
    "driver peak mb": "its memory at most, MB",
}


if __name__ == "__main__":
    main()
