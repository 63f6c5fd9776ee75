"""A batch run against everything that can happen to it: no finished line is lost, and none is paid for twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import Act, Answer, ChatServer, Hang, Reset, Status
from tests.conftest import new_home

pytestmark = [pytest.mark.slow]

PROJECT = Path(__file__).absolute().parent.parent
STATEMENTS = {"short": "It is short.", "right": "It is right."}
VERDICT = Answer(deltas=['{"explanation": "So it seems.", "score": 4}'])


def healthy(body: dict[str, Any]) -> Act:
    """Answer with the question, so that every answer can be told from the others."""
    asked = body["messages"][-1]["content"]
    return Answer(deltas=["Re: ", asked], first_s=0.02) if body.get("stream") else VERDICT


class Desk:
    """A folder with a data file, an empty home, and the environment that leads to the server."""

    def __init__(self, folder: Path, server: ChatServer, lines: int) -> None:
        self.folder, self.server = folder, server
        rows = [{"question": f"Question {i}?", "statements": STATEMENTS} for i in range(lines)]
        (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.environment = {**os.environ, **new_home(folder / "home"), "OPENAI_BASE_URL": server.base_url}
        self.environment |= {"OPENAI_API_KEY": "sk-never-shown-1234", "MODEL_TIMEOUT_S": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program."""
        command = [sys.executable, str(PROJECT / "batch.py"), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the program to its end; return its exit code and all that it printed."""
        running = self.start(*arguments)
        printed, _ = running.communicate(timeout=120)
        return running.returncode, printed

    def rows(self) -> list[dict[str, Any]]:
        """Return the details."""
        return [json.loads(line) for line in (self.folder / "out" / "details.jsonl").read_text().splitlines()]

    def metrics(self) -> dict[str, Any]:
        """Return the metrics."""
        figures: dict[str, Any] = json.loads((self.folder / "out" / "metrics.json").read_text())
        return figures

    def statuses(self) -> Counter[str]:
        """Return how many of promptflow's runs have which status."""
        database = Path(self.environment["PF_HOME_DIRECTORY"]) / "pf.sqlite"
        with closing(sqlite3.connect(database)) as connection:
            return Counter(status for (status,) in connection.execute("select status from run_info"))


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Desk:
    server.usual = healthy
    return Desk(tmp_path, server, lines=60)


def asked_for(server: ChatServer) -> Counter[str]:
    """Return how often each text was sent, the judge's marks taken out."""
    texts = (str(seen.messages[-1]["content"]) for seen in server.requests)
    return Counter(" ".join(line for line in text.split("\n") if not line.startswith("<")) for text in texts)


def check_complete(desk: Desk) -> None:
    """Assert that the files are those of an undisturbed run."""
    assert [row["answer"] for row in desk.rows()] == [f"Re: Question {i}?" for i in range(60)]
    assert {verdict["score"] for row in desk.rows() for verdict in row["verdicts"].values()} == {4}
    figures = desk.metrics()
    assert [figures[name] for name in ("total", "answered", "judged", "failed")] == [60, 60, 60, 0]
    assert (figures["scored_short"], figures["unscored_short"]) == (60, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_an_interrupted_run_is_completed_by_asking_only_for_what_is_missing(desk: Desk, number: signal.Signals) -> None:
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
        assert running.returncode == 0 or printed.rstrip().endswith("--resume out --concurrency 4")
    code, printed = desk.run("--resume", "out")
    assert code == 0, printed
    check_complete(desk)
    twice = {text: count for text, count in asked_for(desk.server).items() if count > 1}
    assert len(twice) <= 2 * at_once, twice  # those under way when it stopped: a line's two statements each
    assert set(desk.statuses()) <= {"Completed", "Failed"}


def test_two_runs_at_once_in_one_folder_leave_each_other_and_the_persons_flow_file_alone(desk: Desk) -> None:
    own = desk.folder / "flow.flex.yaml"
    own.write_text("entry: mine:Flow\n")
    both = [desk.start("--out", name, "--quiet") for name in ("first", "second")]
    for running in both:
        printed, _ = running.communicate(timeout=120)
        assert running.returncode == 0, printed
    rows = [(desk.folder / name / "details.jsonl").read_text().splitlines() for name in ("first", "second")]
    assert [len(each) for each in rows] == [60, 60]
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


def test_when_every_fifth_request_fails_in_every_way_each_line_ends_with_an_answer_or_its_cause(desk: Desk) -> None:
    desk.server.usual = every_way_to_fail(seed=7)
    code, printed = desk.run("--concurrency", "16")
    assert code == 3, printed
    figures = desk.metrics()
    rows = desk.rows()
    assert len(rows) == figures["total"] == 60
    assert all(row["error"] or row["verdicts"] for row in rows)
    assert all(row["error"] != "not asked" or row["answer"] is not None for row in rows)
    assert 0 < figures["failed"] == sum(row["verdicts"] is None for row in rows) < 60
    assert "refused on purpose" in printed
    desk.server.usual = healthy
    code, printed = desk.run("--resume", "out")
    assert code == 0, printed
    assert all("Question" in str(row["answer"]) or row["answer"] == "Hello there." for row in desk.rows())
    assert desk.metrics()["judged"] == 60


def test_a_full_disk_stops_the_run_and_says_so(desk: Desk) -> None:
    (desk.folder / "out").mkdir()
    (desk.folder / "out" / "journal.jsonl").symlink_to("/dev/full")
    code, printed = desk.run()
    assert code == 3, printed
    assert "journal.jsonl cannot be written: No space left on device; the run is stopped" in printed
    assert len(desk.server.requests) < 60
    assert set(desk.statuses()) <= {"Completed", "Failed"}


def test_a_line_that_takes_too_long_fails_alone(desk: Desk) -> None:
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
            return Status(429, "slow down", headers=[("retry-after", "1")])
        return healthy(body)

    desk.server.usual = act
    code, printed = desk.run("--concurrency", "8")
    assert code == 0, printed
    came = [seen.came_s for seen in desk.server.requests]
    longest = max(range(1, len(came)), key=lambda i: came[i] - came[i - 1])
    assert came[longest] - came[longest - 1] > 0.6  # nobody asked meanwhile, not only the line that was refused
    assert desk.server.most_in_flight == 8


def test_the_key_is_in_no_file_afterwards(desk: Desk) -> None:
    desk.server.usual = lambda body: Status(401, "Incorrect API key provided: sk-never-shown-1234")
    desk.run()
    files = [path for path in desk.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if b"sk-never-shown" in path.read_bytes()] == []
