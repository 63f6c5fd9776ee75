"""The run on Ray: the same results as here, and nothing lost when a worker, a node or the driver dies."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chat_server import Act, Answer, ChatServer, Status
from tests.test_survival import VERDICT, Desk, asked_for, healthy

pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-ray.txt")
pytestmark = [pytest.mark.ray]

LINES, AT_ONCE, WORKERS = 240, 8, 2
ON_RAY = ["--engine", "ray", "--workers", str(WORKERS), "--concurrency", str(AT_ONCE), "--quiet"]


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Iterator[Desk]:
    """Return a folder with lines; nothing that was started from it is left afterwards."""
    server.usual = healthy
    made = Desk(tmp_path, server, lines=LINES)
    # Sockets have short names, and promptflow's home is a long one.
    made.environment |= {"RAY_TMPDIR": f"/tmp/ray-{tmp_path.stat().st_ino}", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    yield made
    ended = until(lambda: not at_home(made), 60)
    for process in at_home(made):
        process.kill()
    shutil.rmtree(made.environment["RAY_TMPDIR"], ignore_errors=True)
    assert ended, "Ray did not end"


def at_home(desk: Desk, name: str = "") -> list[psutil.Process]:
    """Return the processes of that desk whose name begins so."""
    found = []
    for process in psutil.process_iter():
        try:
            lives_here = process.environ().get("RAY_TMPDIR") == desk.environment["RAY_TMPDIR"]
            if lives_here and " ".join(process.cmdline()).startswith(name) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait until `condition` holds, and say whether it does."""
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def rows_of(desk: Desk) -> list[dict[str, Any]]:
    """Return the rows of all shards."""
    files = sorted((desk.folder / "out" / "details").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def check_complete(desk: Desk) -> None:
    """Assert that the files are those of an undisturbed run."""
    assert [row["answer"] for row in rows_of(desk)] == [f"Re: Question {i}?" for i in range(LINES)]
    figures = desk.metrics()
    assert [figures[name] for name in ("total", "answered", "judged", "failed")] == [LINES, LINES, LINES, 0]
    assert (figures["scored_short"], figures["unscored_short"]) == (LINES, 0)


def check_paid_once(desk: Desk, lost_lines: int) -> None:
    """Assert that only what was under way was asked for again: an answer, or the verdicts of both statements."""
    twice = {text: count for text, count in asked_for(desk.server).items() if count > 1}
    assert len(twice) <= 2 * lost_lines, twice


def some_fail(body: dict[str, Any]) -> Act:
    """Refuse some lines, and judge some answers unreadably; whoever asks, the same ones."""
    asked = str(body["messages"][-1]["content"])
    if body.get("stream"):
        return Status(400, "refused on purpose") if "7?" in asked else healthy(body)
    if any(f"Question {i}?" in json.dumps(body["messages"]) for i in (11, 205)):
        return Answer(deltas=["I would say so."])
    return VERDICT


@pytest.mark.parametrize("shape", ["jsonl", "parquet"])
def test_the_results_are_those_of_a_run_here(shape: str, desk: Desk) -> None:
    from flowkit.shards import StoredRows, row_files

    desk.server.usual = some_fail
    assert desk.run("--quiet", "--out", "here")[0] == 3
    code, printed = desk.run(*ON_RAY, "--format", shape)
    assert code == 3, printed
    assert "24 x BadRequestError" in printed
    here = [json.loads(line) for line in (desk.folder / "here" / "details.jsonl").read_text().splitlines()]
    there = list(StoredRows(row_files(desk.folder / "out"), LINES))
    for row in (*here, *there):
        row["timing"] = sorted(row["timing"] or {})
    assert there == here
    figures = [json.loads((desk.folder / out / "metrics.json").read_text()) for out in ("here", "out")]
    for each in figures:
        del each["run"], each["timing"]
    assert figures[0] == figures[1]
    assert list(figures[0]) == list(figures[1])
    assert (desk.folder / "out" / "report.html").stat().st_size > 10_000


def test_a_worker_that_is_killed_is_replaced_and_no_finished_line_is_asked_for_again(desk: Desk) -> None:
    after = random.randint(5, 3 * LINES - 100)
    running = desk.start(*ON_RAY)
    assert until(lambda: len(desk.server.requests) >= after, 120)
    worker = random.choice(at_home(desk, "ray::MapWorker"))
    worker.send_signal(signal.SIGKILL)
    printed, _ = running.communicate(timeout=180)
    assert running.returncode == 0, printed
    check_complete(desk)
    check_paid_once(desk, AT_ONCE // WORKERS)


def test_a_run_whose_driver_was_killed_is_completed(desk: Desk) -> None:
    after = random.randint(5, 3 * LINES - 50)
    running = desk.start(*ON_RAY)
    assert until(lambda: len(desk.server.requests) >= after, 120)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    assert until(lambda: not at_home(desk), 120)  # they notice
    code, printed = desk.run(*ON_RAY, "--resume", "out")
    assert code == 0, printed
    check_complete(desk)
    check_paid_once(desk, AT_ONCE)


def test_ctrl_c_says_how_to_go_on(desk: Desk) -> None:
    running = desk.start(*ON_RAY)
    assert until(lambda: len(desk.server.requests) >= 50, 120)
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 3, printed
    assert printed.rstrip().endswith("--resume out --concurrency 8 --engine ray --format jsonl --workers 2")


def test_a_node_that_is_lost_takes_no_line_with_it(desk: Desk) -> None:
    """A cluster of three nodes, the driver a program of its own; a node with a worker goes amid the run."""
    program = [sys.executable, "-c", CLUSTER]
    nodes = subprocess.Popen(program, env=desk.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert nodes.stdin
    assert nodes.stdout
    try:
        address = nodes.stdout.readline().strip()
        running = desk.start(*ON_RAY, "--address", address)
        assert until(lambda: len(desk.server.requests) >= 150, 120)
        nodes.stdin.write("lose one\n")
        nodes.stdin.flush()
        printed, _ = running.communicate(timeout=180)
        assert running.returncode == 0, printed
        check_complete(desk)
        check_paid_once(desk, AT_ONCE)
    finally:
        nodes.communicate(timeout=60)


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(3)]
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(nodes[0], allow_graceful=False)
sys.stdin.read()
cluster.shutdown()
"""


def test_bad_input_is_refused_before_anything_is_sent(desk: Desk) -> None:
    with (desk.folder / "data.jsonl").open("a") as data:
        data.write("{bad\n")
    code, printed = desk.run(*ON_RAY)
    assert code == 2
    assert f"data.jsonl line {LINES + 1}: expected a JSON object" in printed
    assert desk.server.requests == []
