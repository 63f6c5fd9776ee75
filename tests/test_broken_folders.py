"""Folders that cannot be written, texts that cannot be shown: one clear line, and nothing paid for is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chat_server import Answer, ChatServer
from tests.desk import PROJECT, Desk, healthy

pytestmark = [pytest.mark.slow]


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Desk:
    server.usual = healthy
    return Desk(tmp_path, server, lines=3)


def make_file(path: Path) -> None:
    path.touch()


def make_broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "at" / "all")


@pytest.mark.parametrize(("make", "says"), [(make_file, "got a file"), (make_broken_link, "a link that leads nowhere")])
def test_an_out_that_is_no_folder_is_bad_input_and_nothing_is_sent(desk: Desk, make: object, says: str) -> None:
    assert callable(make)
    make(desk.folder / "out")
    code, printed = desk.run_here("--quiet")
    assert (code, desk.server.requests) == (2, [])
    assert printed.strip().endswith(f"{says}; name another --out")
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", ["report.html", "metrics.json", "details.jsonl"])
def test_a_result_that_cannot_be_written_is_named_and_costs_nothing_to_write_elsewhere(desk: Desk, name: str) -> None:
    (desk.folder / "out" / name).mkdir(parents=True)
    code, printed = desk.run_here("--quiet")
    assert code == 3
    assert f"out/{name}" in printed
    assert "Is a directory" in printed
    assert printed.splitlines()[-2] == "to ask for what is missing:"
    assert not list((desk.folder / "out").glob("*unfinished*"))
    asked = len(desk.server.requests)
    (desk.folder / "out" / name).rmdir()
    assert desk.run_here("--quiet", "--resume", "out")[0] == 0
    assert len(desk.server.requests) == asked


def test_an_impossible_junit_report_does_not_hide_the_results(desk: Desk) -> None:
    code, printed = desk.run_here("--quiet", "--junit", "/proc/none/junit.xml")
    assert code == 3
    assert "3 lines: 3 answered, 3 judged, 0 failed" in printed
    assert "/proc/none" in printed
    assert desk.metrics()["judged"] == 3


def test_a_reader_that_leaves_early_is_no_error(desk: Desk) -> None:
    running = desk.start("--quiet")
    assert running.stdout
    running.stdout.close()
    assert running.wait(60) == 0
    assert desk.metrics()["judged"] == 3


@pytest.mark.promptflow
def test_promptflow_without_a_home_is_told_before_anything_is_sent(desk: Desk) -> None:
    desk.environment["PF_HOME_DIRECTORY"] = "/proc/none"
    code, printed = desk.run("--quiet", "--engine", "promptflow")
    assert (code, desk.server.requests) == (2, [])
    assert "/proc/none: promptflow needs this folder and cannot write there" in printed
    assert desk.run_here("--quiet")[0] == 0


@pytest.mark.promptflow
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="only root can mount folders read-only"
)
def test_promptflow_without_semaphores_is_told_before_anything_is_sent(desk: Desk) -> None:
    read_only = f"mount -t tmpfs -o ro tmpfs /dev/shm && exec {sys.executable} {PROJECT / 'batch.py'} --quiet"
    found = []
    for engine in ("promptflow", "local"):
        command = ["unshare", "--mount", "bash", "-c", f"{read_only} --engine {engine}"]
        done = subprocess.run(command, cwd=desk.folder, env=desk.environment, capture_output=True, text=True)
        found.append((done.returncode, len(desk.server.requests), done.stderr))
    if any("mount" in said for _, _, said in found):
        pytest.skip(f"this machine mounts nothing: {found}")
    (code, sent, said), here = found
    assert (code, sent) == (2, 0)
    assert "needs semaphores between processes, and there are none: Read-only file system; make /dev/shm" in said
    assert here[:2] == (0, 9)


ESCAPES = "\x1b]0;owned\x07\x1b[31mred\x9b2J"


@pytest.mark.parametrize(
    "engine", ["local", pytest.param("promptflow", marks=[pytest.mark.promptflow, pytest.mark.long])]
)
def test_no_text_makes_a_terminal_do_anything_and_no_terminal_makes_a_run_fail(desk: Desk, engine: str) -> None:
    desk.server.usual = lambda body: (
        Answer(deltas=["Hi ", ESCAPES, " \ud83d", "\udc4d \ud83d"])
        if body.get("stream")
        else Answer(deltas=[json.dumps({"explanation": "😀", "score": 4})])
    )
    row = {"question": f"Hello {ESCAPES}?", "statements": {f"kind {ESCAPES}": "It is kind."}}
    (desk.folder / "data.jsonl").write_text(json.dumps(row))
    desk.environment["PYTHONIOENCODING"] = "ascii"
    code, printed = desk.run("--quiet", "--engine", engine)
    assert code == 0, printed
    assert not {"\x1b", "\x07", "\x9b"} & set(printed)
    assert "\\x1b" in printed
    assert desk.rows()[0]["answer"] == f"Hi {ESCAPES} 👍 \ufffd"
    assert json.loads((desk.folder / "out" / "metrics.json").read_text(encoding="utf-8"))["judged"] == 1
