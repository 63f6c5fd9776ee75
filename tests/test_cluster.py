"""The run on Ray: the same results as here, and nothing lost when a worker, a node or the driver dies."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chat_server import Act, Answer, ChatServer, Status
from tests.collector import collecting
from tests.desk import STATEMENTS, VERDICT, Desk, healthy
from tests.programs import until
from tests.test_own_inputs import with_tone
from tests.test_storage import in_parquet

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
    try:
        until(lambda: not at_home(made), lambda: "Ray did not end")
    finally:
        for process in at_home(made):
            process.kill()
        shutil.rmtree(made.environment["RAY_TMPDIR"], ignore_errors=True)


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


def requests(desk: Desk, count: int) -> None:
    """Wait until so many have come."""
    until(lambda: len(desk.server.requests) >= count, lambda: "the run does not go on", 120)


def some_fail(body: dict[str, Any]) -> Act:
    """Refuse some lines, and judge some answers unreadably; whoever asks, the same ones."""
    asked = str(body["messages"][-1]["content"])
    if body.get("stream"):
        return Status(400, "refused on purpose") if "7?" in asked else healthy(body)
    if any(f"Question {i}?" in json.dumps(body["messages"]) for i in (11, 205)):
        return Answer(deltas=["I would say so."])
    return VERDICT


def labelled(desk: Desk, out: str) -> Iterator[dict[str, Any]]:
    """Yield what a person who gives everything a 3 says of the sample's pairs."""
    rows = {row["line"]: row for row in desk.rows(out)}
    for pair in json.loads((desk.folder / out / "sample.json").read_text())["pairs"]:
        row = rows[pair["line"]]
        statement = {"answer": row["answer"], "statement": row["statements"][pair["name"]], "score": 3}
        yield {**statement, "line": pair["line"], "name": pair["name"], "run": "any", "chosen": "sample"}


@pytest.mark.parametrize("shape", ["jsonl", "parquet"])
def test_the_results_are_those_of_a_run_here(shape: str, desk: Desk) -> None:
    data, whole = desk.folder / f"data.{shape}", desk.folder / "data.jsonl"
    lines = [{**json.loads(line), "topic": f"topic {i % 3}"} for i, line in enumerate(whole.read_text().splitlines())]
    for line in lines[::40]:
        line["answer"] = f"It exists: {line['question']}"
    whole.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (desk.folder / "checklist.yaml").write_text('topic: {statement: "It is about {topic}.", weight: 2}')
    more = ["--checklist", "checklist.yaml", "--by", "topic"]
    if shape == "parquet":
        in_parquet(data, lines)
    desk.server.usual = some_fail
    desk.environment["OPENAI_MODEL"] = "gpt-4o-mini"  # it has a price
    assert desk.run("--quiet", "--out", "here", *more)[0] == 3
    labels = desk.folder / "labels.jsonl"
    labels.write_text("".join(json.dumps(label) + "\n" for label in labelled(desk, "here")))
    more += ["--labels", "labels.jsonl"]
    assert desk.run("--quiet", "--resume", "here", *more)[0] == 3
    code, printed = desk.run(*ON_RAY, "--data", data.as_uri(), "--format", shape, *more)
    assert code == 3, printed
    assert "24 x BadRequestError" in printed
    here, there = desk.rows("here"), desk.rows()
    assert [row.get("answered_from") for row in there].count("data") == len(lines[::40])
    for row in (*here, *there):
        row["timing"] = sorted(row["timing"] or {})
    assert there == here
    figures = [desk.metrics("here"), desk.metrics()]
    for each in figures:
        del each["run"], each["timing"]
    assert figures[0] == figures[1]
    assert list(figures[0]) == list(figures[1])
    assert figures[0]["cost_usd"] == pytest.approx(sum(row.get("cost_usd") or 0 for row in there))
    assert figures[0]["human_labels_short"] > 50
    samples = [json.loads((desk.folder / out / "sample.json").read_text())["pairs"] for out in ("here", "out")]
    assert samples[0] == samples[1]
    assert list(figures[1]["groups"]) == ["topic 0", "topic 1", "topic 2"]
    assert (desk.folder / "out" / "report.html").stat().st_size > 10_000


def test_a_worker_that_is_killed_is_replaced_and_no_finished_line_is_asked_for_again(desk: Desk) -> None:
    after = random.randint(5, 3 * LINES - 100)
    running = desk.start(*ON_RAY)
    requests(desk, after)
    worker = random.choice(at_home(desk, "ray::MapWorker"))
    worker.send_signal(signal.SIGKILL)
    printed, _ = running.communicate(timeout=180)
    assert running.returncode == 0, printed
    desk.check_complete()
    desk.check_paid_once(AT_ONCE // WORKERS)


def test_a_run_whose_driver_was_killed_is_completed(desk: Desk) -> None:
    after = random.randint(5, 3 * LINES - 50)
    running = desk.start(*ON_RAY)
    requests(desk, after)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)
    until(lambda: not at_home(desk), lambda: "Ray outlives its driver", 120)
    code, printed = desk.run(*ON_RAY, "--resume", "out")
    assert code == 0, printed
    desk.check_complete()
    desk.check_paid_once(AT_ONCE)


def test_ctrl_c_says_how_to_go_on(desk: Desk) -> None:
    desk.server.usual = lambda body: replace(healthy(body), first_s=0.5)  # so that it is not done before it hears of it
    running = desk.start(*ON_RAY)
    requests(desk, 50)
    running.send_signal(signal.SIGINT)
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 3, printed
    assert printed.rstrip().endswith("--resume out --concurrency 8 --engine ray --workers 2 --quiet")


def test_a_node_that_is_lost_takes_no_line_with_it(desk: Desk) -> None:
    """A cluster of three nodes, the driver a program of its own; a node with a worker goes amid the run."""
    program = [sys.executable, "-c", CLUSTER]
    nodes = subprocess.Popen(program, env=desk.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert nodes.stdin
    assert nodes.stdout
    try:
        address = nodes.stdout.readline().strip()
        running = desk.start(*ON_RAY, "--address", address)
        requests(desk, 150)
        nodes.stdin.write("lose one\n")
        nodes.stdin.flush()
        printed, _ = running.communicate(timeout=180)
        assert running.returncode == 0, printed
        desk.check_complete()
        desk.check_paid_once(AT_ONCE)
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


def test_a_line_that_is_inserted_costs_one_answer_and_its_verdicts(desk: Desk) -> None:
    assert desk.run(*ON_RAY)[0] == 0
    data = desk.folder / "data.jsonl"
    data.write_text(json.dumps({"question": "New?", "statements": STATEMENTS}) + "\n" + data.read_text())
    desk.server.requests.clear()
    code, printed = desk.run(*ON_RAY, "--resume", "out")
    assert code == 0, printed
    assert len(desk.server.requests) == 3
    assert [row["question"] for row in desk.rows()[:2]] == ["New?", "Question 0?"]
    assert "an earlier run's answers are kept in out/journal.previous" in printed


def test_bad_input_is_refused_before_anything_is_sent(desk: Desk) -> None:
    with (desk.folder / "data.jsonl").open("a") as data:
        data.write("{bad\n")
    code, printed = desk.run(*ON_RAY)
    assert code == 2
    assert f"data.jsonl line {LINES + 1}: expected a JSON object" in printed
    assert desk.server.requests == []


def test_inputs_and_references_reach_workers_and_rows(desk: Desk) -> None:
    with_tone(desk.folder)
    row = {"question": "Question 0?", "tone": "dry", "reference": "So.", "statements": STATEMENTS}
    rows = [row, {**row, "question": "Question 1?", "tone": "kind"}]
    (desk.folder / "data.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    for kind in ("jsonl", "parquet"):
        code, printed = desk.run(*ON_RAY, "--chat-prompt", "mine.prompty", "--format", kind, "--out", kind)
        assert code == 0, printed
        kept = [(row["inputs"], row["reference"]) for row in desk.rows(kind)]
        assert kept == [({"tone": "dry"}, "So."), ({"tone": "kind"}, "So.")]
    judged = [str(seen.messages) for seen in desk.server.requests if not seen.body.get("stream")]
    assert all("<question " in text and "<reference " in text for text in judged)


def test_each_worker_sends_the_traces_of_its_lines(desk: Desk) -> None:
    with collecting() as collector:
        desk.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint
        code, printed = desk.run(*ON_RAY)
    assert code == 0, printed
    trees = collector.trees()
    assert len(trees) == LINES
    assert all(tree[""] == ["line"] and tree["line"] == ["ChatFlow", "EvalFlow"] for tree in trees)
    assert sum(len(line.events) for line in collector.named("line")) == 2 * LINES
