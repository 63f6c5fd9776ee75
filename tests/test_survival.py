"""A batch run against everything that can happen to it: no finished line is lost, and none is paid for twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from flowkit.bridge.runs import FOLDER_PREFIX
from flowkit.run.interruption import Interruption
from tests.chat_server import Act, Answer, ChatServer, Hang, Reset, Status
from tests.desk import KEY, PROJECT, STATEMENTS, Desk, healthy

pytestmark = [pytest.mark.slow]


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Desk:
    server.usual = healthy
    return Desk(tmp_path, server, lines=60)


PROMPTFLOW = [pytest.mark.promptflow]
LOCAL_AND_LONG = ["local", pytest.param("promptflow", marks=[*PROMPTFLOW, pytest.mark.long])]


@pytest.fixture
def each_desk(request: pytest.FixtureRequest, desk: Desk) -> Desk:
    """Return the desk, with batch.py on either engine of this machine."""
    desk.engine = request.param
    return desk


@pytest.mark.parametrize(
    ("each_desk", "number"),
    [
        pytest.param("local", signal.SIGINT, id="local, ctrl-c"),
        pytest.param("local", signal.SIGHUP, id="local, terminal closed"),
        pytest.param("local", signal.SIGKILL, id="local, killed"),
        pytest.param("promptflow", signal.SIGINT, marks=[*PROMPTFLOW, pytest.mark.long], id="promptflow, ctrl-c"),
        pytest.param("promptflow", signal.SIGKILL, marks=[*PROMPTFLOW, pytest.mark.long], id="promptflow, killed"),
    ],
    indirect=["each_desk"],
)
def test_an_interrupted_run_is_completed_by_asking_only_for_what_is_missing(
    each_desk: Desk, number: signal.Signals
) -> None:
    desk = each_desk
    at_once, after = 4, random.randint(5, 170)  # of 60 answers and 120 verdicts
    running = desk.start("--concurrency", str(at_once))
    while len(desk.server.requests) < after and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(number)
    sent_s = time.monotonic()
    printed, _ = running.communicate(timeout=60)
    if number != signal.SIGKILL:
        assert time.monotonic() - sent_s < 30  # it waits for no answer; a busy machine may take its time to write
        assert running.returncode in (3, 0)
        engine = "" if desk.engine == "local" else " --engine promptflow"
        assert running.returncode == 0 or printed.rstrip().endswith(f"--resume out --concurrency 4{engine}")
    code, printed = desk.finish("--resume", "out")
    assert code == 0, printed
    desk.check_complete()
    desk.check_paid_once(at_once)
    assert set(desk.statuses()) <= {"Completed", "Failed"}


def test_what_was_ignored_before_a_run_still_is() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruption().on_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_interruption_before_anything_is_sent_is_one_line(desk: Desk) -> None:
    (desk.folder / "data.jsonl").unlink()
    os.mkfifo(desk.folder / "data.jsonl")
    running = desk.start("--quiet")
    with (desk.folder / "data.jsonl").open("w"):  # opens as soon as the program reads
        running.send_signal(signal.SIGINT)
        printed, _ = running.communicate(timeout=60)
    assert (running.returncode, printed, desk.server.requests) == (130, "batch.py: interrupted\n", [])


def test_a_run_that_is_killed_ten_times_loses_nothing(desk: Desk) -> None:
    desk.lines = 200
    rows = [{"question": f"Question {i}?", "statements": STATEMENTS} for i in range(200)]
    (desk.folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for kills in range(10):
        until = len(desk.server.requests) + random.randint(5, 55)
        running = desk.start(*(("--resume", "out") if kills else ()), "--concurrency", "4", "--quiet")
        while len(desk.server.requests) < until and running.poll() is None:
            time.sleep(0.005)
        running.kill()
        running.communicate(timeout=60)
    code, printed = desk.run_here("--resume", "out", "--quiet")
    assert code == 0, printed
    desk.check_complete()
    desk.check_paid_once(4 * 10)


HOPELESS = [
    (Status(401, "Incorrect API key"), "the run was stopped after 3 failures in a row: the key is refused"),
    (Status(404, "The model does not exist"), "in a row: the model or the path is not there"),
    (Status(429, "You exceeded your current quota", error_code="insufficient_quota"), "the quota is used up"),
    (Status(429, "slow down", headers=[("retry-after", "3600")]), "asks to wait longer than we would"),
]


@pytest.mark.parametrize(("refusal", "says"), HOPELESS, ids=["key", "model", "quota", "an hour"])
def test_a_run_that_cannot_succeed_stops_after_a_few_lines(desk: Desk, refusal: Status, says: str) -> None:
    desk.server.usual = refusal
    code, printed = desk.run_here("--quiet", "--concurrency", "8")
    assert code == 3
    assert says in printed
    assert len(desk.server.requests) <= 3 * 8
    assert desk.rows()[-1]["error"] == "not asked"


def test_few_file_handles_make_fewer_requests_at_once_and_lose_nothing(desk: Desk) -> None:
    desk.environment["MODEL_TIMEOUT_S"] = "30"
    command = f"ulimit -n 64; exec {sys.executable} {PROJECT / 'batch.py'} --quiet --concurrency 256"
    done = subprocess.run(
        ["bash", "-c", command], cwd=desk.folder, env=desk.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "of 256 requests at once: this process may open 64 files" in done.stderr
    assert len(done.stderr.splitlines()) < 10
    desk.check_complete()


@pytest.mark.long
def test_what_a_killed_run_left_behind_is_removed_by_the_next(desk: Desk) -> None:
    desk.engine = "promptflow"
    desk.environment["MODEL_TIMEOUT_S"] = "30"
    with TemporaryDirectory(dir="/tmp") as temporary:  # short, as the names of sockets have to be
        desk.environment["TMPDIR"] = temporary
        (Path(temporary) / f"{FOLDER_PREFIX}999999999-abc").mkdir()
        assert desk.run("--quiet")[0] == 0
        assert list(Path(temporary).iterdir()) == []


@pytest.mark.long
def test_two_runs_at_once_in_one_folder_leave_each_other_and_the_persons_flow_file_alone(desk: Desk) -> None:
    desk.engine = "promptflow"
    own = desk.folder / "flow.flex.yaml"
    own.write_text("entry: mine:Flow\n")
    both = [desk.start("--out", name, "--quiet") for name in ("first", "second")]
    for running in both:
        printed, _ = running.communicate(timeout=120)
        assert running.returncode == 0, printed
    assert [len(desk.rows(name)) for name in ("first", "second")] == [60, 60]
    assert own.read_text() == "entry: mine:Flow\n"


def every_way_to_fail(seed: int) -> Any:
    """Fail a fifth of the requests, each time in another way."""
    chance = random.Random(seed)
    ways: list[Act] = [
        Status(400, "refused on purpose"),
        Status(401, "not this line"),
        Status(429, "slow down"),
        Status(429, "slow down", headers=[("retry-after", "1")]),
        Status(500, "broken"),
        Reset(),
        Answer(deltas=["a", "b", "c"], cut_after=2),
        Answer(raw_after="data: {garbage\n\n", finish=None),
        Hang(),
    ]

    def act(body: dict[str, Any]) -> Act:
        return chance.choice(ways) if chance.random() < 0.2 else healthy(body)

    return act


@pytest.mark.parametrize("each_desk", LOCAL_AND_LONG, indirect=True)
def test_when_every_fifth_request_fails_in_every_way_each_line_ends_with_an_answer_or_its_cause(
    each_desk: Desk,
) -> None:
    desk = each_desk
    desk.server.usual = every_way_to_fail(seed=4)  # of this seed, refused keys are rare: three in a row stop a run
    code, printed = desk.finish("--concurrency", "16")
    assert code == 3, printed
    figures = desk.metrics()
    rows = desk.rows()
    assert len(rows) == figures["total"] == 60
    assert all(row["error"] or row["verdicts"] for row in rows)
    assert all(row["error"] != "not asked" or row["answer"] is not None for row in rows)
    assert 0 < figures["failed"] == sum(row["error"] is not None for row in rows) < 60
    assert "refused on purpose" in printed
    desk.server.usual = healthy
    code, printed = desk.finish("--resume", "out")
    assert code == 0, printed
    assert all("Question" in str(row["answer"]) or row["answer"] == "Hello there." for row in desk.rows())
    assert desk.metrics()["judged"] == 60


@pytest.mark.parametrize("each_desk", LOCAL_AND_LONG, indirect=True)
def test_a_full_disk_stops_the_run_and_says_so(each_desk: Desk) -> None:
    desk = each_desk
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "journal.jsonl").symlink_to("/dev/full")
    code, printed = desk.finish()
    assert code == 3, printed
    assert "journal.jsonl cannot be written: No space left on device; the run is stopped" in printed
    assert len(desk.server.requests) < 60
    assert set(desk.statuses()) <= {"Completed", "Failed"}


@pytest.mark.parametrize("each_desk", LOCAL_AND_LONG, indirect=True)
def test_a_line_that_takes_too_long_fails_alone(each_desk: Desk) -> None:
    desk = each_desk
    slow = Answer(deltas=["word "] * 1000, gap_s=0.1)
    desk.server.usual = lambda body: slow if "Question 7?" in body["messages"][-1]["content"] else healthy(body)
    code, printed = desk.finish("--line-timeout", "2")
    assert code == 3, printed
    assert [row["line"] for row in desk.rows() if row["error"]] == [8]
    assert "TimeoutError: not done within 2 s" in printed


def test_a_429_is_waited_for_as_told_and_the_speed_comes_back(desk: Desk) -> None:
    refusals = iter(range(3))
    refused: list[float] = []

    def act(body: dict[str, Any]) -> Act:
        if len(desk.server.requests) > 20 and next(refusals, None) is not None:
            desk.server.most_in_flight = 0
            refused.append(desk.server.requests[-1].came_s)
            return Status(429, "slow down", headers=[("retry-after", "1")])
        return Answer(deltas=healthy(body).deltas, first_s=0.1)  # long enough to meet the others

    desk.server.usual = act
    code, printed = desk.run_here("--concurrency", "8", "--quiet")
    assert code == 0, printed
    came = {json.dumps(seen.body): seen.came_s for seen in desk.server.requests}  # of those that came twice, the second
    again = [came[json.dumps(seen.body)] for seen in desk.server.requests if seen.came_s in refused]
    assert len(again) == 3
    assert all(second - first >= 0.95 for first, second in zip(refused, again, strict=True))
    assert desk.server.most_in_flight == 8


def test_the_key_is_in_no_file_afterwards(desk: Desk) -> None:
    desk.engine = "promptflow"
    desk.server.usual = lambda body: Status(401, f"Incorrect API key provided: {KEY}")
    desk.run()
    files = [path for path in desk.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
