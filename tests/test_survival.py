"""A batch run against everything that can happen to it: no finished line is lost, and none is paid for twice."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import Act, Answer, ChatServer, Hang, Reset, Status
from tests.desk import KEY, Desk, healthy

pytestmark = [pytest.mark.slow]


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Desk:
    server.usual = healthy
    return Desk(tmp_path, server, lines=60)


@pytest.fixture(params=["local", pytest.param("promptflow", marks=pytest.mark.promptflow)])
def each_desk(request: pytest.FixtureRequest, desk: Desk) -> Desk:
    """Return the desk, with batch.py on either engine of this machine."""
    desk.engine = request.param
    return desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
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
    if number == signal.SIGINT:
        assert time.monotonic() - sent_s < 5
        assert running.returncode in (3, 0)
        engine = "" if desk.engine == "local" else " --engine promptflow"
        assert running.returncode == 0 or printed.rstrip().endswith(f"--resume out --concurrency 4{engine}")
    code, printed = desk.run("--resume", "out")
    assert code == 0, printed
    desk.check_complete()
    desk.check_paid_once(at_once)
    assert set(desk.statuses()) <= {"Completed", "Failed"}


@pytest.mark.promptflow
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


def test_when_every_fifth_request_fails_in_every_way_each_line_ends_with_an_answer_or_its_cause(
    each_desk: Desk,
) -> None:
    desk = each_desk
    desk.server.usual = every_way_to_fail(seed=7)
    code, printed = desk.run("--concurrency", "16")
    assert code == 3, printed
    figures = desk.metrics()
    rows = desk.rows()
    assert len(rows) == figures["total"] == 60
    assert all(row["error"] or row["verdicts"] for row in rows)
    assert all(row["error"] != "not asked" or row["answer"] is not None for row in rows)
    assert 0 < figures["failed"] == sum(row["error"] is not None for row in rows) < 60
    assert "refused on purpose" in printed
    desk.server.usual = healthy
    code, printed = desk.run("--resume", "out")
    assert code == 0, printed
    assert all("Question" in str(row["answer"]) or row["answer"] == "Hello there." for row in desk.rows())
    assert desk.metrics()["judged"] == 60


def test_a_full_disk_stops_the_run_and_says_so(each_desk: Desk) -> None:
    desk = each_desk
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "journal.jsonl").symlink_to("/dev/full")
    code, printed = desk.run()
    assert code == 3, printed
    assert "journal.jsonl cannot be written: No space left on device; the run is stopped" in printed
    assert len(desk.server.requests) < 60
    assert set(desk.statuses()) <= {"Completed", "Failed"}


def test_a_line_that_takes_too_long_fails_alone(each_desk: Desk) -> None:
    desk = each_desk
    slow = Answer(deltas=["word "] * 1000, gap_s=0.1)
    desk.server.usual = lambda body: slow if "Question 7?" in body["messages"][-1]["content"] else healthy(body)
    code, printed = desk.run("--line-timeout", "2")
    assert code == 3, printed
    assert [row["line"] for row in desk.rows() if row["error"]] == [8]
    assert "TimeoutError: not done within 2 s" in printed


def test_a_429_slows_down_the_whole_run_and_the_speed_comes_back(desk: Desk) -> None:
    refusals = iter(range(3))

    def act(body: dict[str, Any]) -> Act:
        if len(desk.server.requests) > 20 and next(refusals, None) is not None:
            desk.server.most_in_flight = 0
            return Status(429, "slow down", headers=[("retry-after", "1")])
        return Answer(deltas=healthy(body).deltas, first_s=0.1)  # long enough to meet the others

    desk.server.usual = act
    code, printed = desk.run("--concurrency", "8")
    assert code == 0, printed
    came = [seen.came_s for seen in desk.server.requests]
    longest = max(range(1, len(came)), key=lambda i: came[i] - came[i - 1])
    assert came[longest] - came[longest - 1] > 0.6  # nobody asked meanwhile, not only the line that was refused
    assert desk.server.most_in_flight == 8


@pytest.mark.promptflow
def test_the_key_is_in_no_file_afterwards(desk: Desk) -> None:
    desk.engine = "promptflow"
    desk.server.usual = lambda body: Status(401, f"Incorrect API key provided: {KEY}")
    desk.run()
    files = [path for path in desk.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
