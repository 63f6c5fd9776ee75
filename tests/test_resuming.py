"""The command that resumes can be pasted, a mistyped folder is not made, lost output costs no result."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.run.options import RunOptions, read_options, resume_command
from tests.chat_server import ChatServer
from tests.desk import PROJECT, Desk, healthy


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer) -> Desk:
    server.usual = healthy
    return Desk(tmp_path, server, lines=2)


def test_a_value_that_begins_with_a_dash_is_still_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-x").mkdir()
    options = RunOptions(data="-d.jsonl", out=Path("-x"), fail_under=("-a=4", "b=4"), quiet=True)
    read = read_options(shlex.split(resume_command(options, "batch.py"))[2:])
    assert (read.data, read.resume, read.fail_under, read.quiet) == ("-d.jsonl", Path("-x"), ("-a=4", "b=4"), True)


@pytest.mark.parametrize("name", ["r\u00e9sum\u00e9", "it's a \\ \U0001f600", "line\n\u00e9", os.fsdecode(b"\xff")])
def test_what_the_terminal_does_not_have_is_written_so_that_bash_reads_it(name: str) -> None:
    command = resume_command(RunOptions(out=Path(name)), "batch.py", "ascii")
    assert command.isascii()
    script = f"python() {{ printf '%s\\0' \"$@\"; }}; {command}"
    words = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.split(b"\0")
    assert words[4] == os.fsencode(name)
    assert shlex.split(resume_command(RunOptions(out=Path("r\u00e9sum\u00e9")), "batch.py"))[5] == "r\u00e9sum\u00e9"


def test_a_mistyped_folder_is_not_made(desk: Desk) -> None:
    code, printed = desk.run_here("--resume", "ouut")
    assert (code, desk.server.requests) == (2, [])
    assert "batch.py: ouut: expected the folder of a run, found nothing; correct --resume, or start a new" in printed
    assert not (desk.folder / "ouut").exists()


def test_a_run_of_another_data_file_goes_on_only_where_that_is_named(desk: Desk) -> None:
    (desk.folder / "data.jsonl").rename(desk.folder / "mine.jsonl")
    assert desk.run_here("--data", "mine.jsonl")[0] == 0
    (desk.folder / "data.jsonl").write_text('{"question": "Another?", "statements": {"short": "It is short."}}\n')
    asked = len(desk.server.requests)
    code, printed = desk.run_here("--resume", "out")
    assert code == 2
    assert "--resume out: that run is of 'mine.jsonl'; add --data and where the file is" in printed
    assert desk.run_here("--resume", "out", "--data", "mine.jsonl")[0] == 0
    assert len(desk.server.requests) == asked
    assert desk.run_here("--resume", "out", "--data", "data.jsonl")[0] == 0


@pytest.mark.parametrize("named", ["out/details.jsonl", "out/../out/journal.jsonl", "link.jsonl"])
def test_what_a_run_writes_is_no_data_of_it(desk: Desk, named: str) -> None:
    assert desk.run_here()[0] == 0
    (desk.folder / "link.jsonl").symlink_to("out/details.jsonl")
    before, asked = (desk.folder / "out/details.jsonl").read_bytes(), len(desk.server.requests)
    code, printed = desk.run_here("--data", named)
    assert (code, len(desk.server.requests)) == (2, asked)
    assert f"{named}: is what the run in out writes; copy it, or name another --out" in printed
    assert (desk.folder / "out/details.jsonl").read_bytes() == before
    assert desk.run_here("--data", "out/details.jsonl", "--out", "again")[0] == 0


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "9" * 400, "1" + "0" * 9])
def test_a_count_is_a_number_that_can_be_counted_to(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options([f"--line-timeout={count}"])
    assert "expected a whole number from 1 to 999999999, got" in capsys.readouterr().err


def test_the_command_that_resumes_names_a_python_that_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert resume_command(RunOptions(), "batch.py").startswith(f"{sys.executable} batch.py ")
    (tmp_path / "python3").touch(mode=0o755)
    assert resume_command(RunOptions(), "batch.py").startswith("python3 batch.py ")


@pytest.mark.parametrize("option", ["--out", "--resume", "--baseline", "--junit"])
def test_an_empty_name_is_no_folder(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options([option, ""])
    assert f"{option}: expected a file or a folder, got an empty name" in capsys.readouterr().err


def ended(desk: Desk, redirected: str, *arguments: str) -> tuple[int, str]:
    """Run the program with its output redirected by the shell; return its exit code and what it complained of."""
    command = [sys.executable, str(PROJECT / "batch.py"), "--quiet", *arguments]
    done = subprocess.run(
        ["bash", "-c", f"exec {shlex.join(command)} {redirected}"],
        cwd=desk.folder,
        env=desk.environment,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
def test_output_that_is_closed_is_no_failure(desk: Desk) -> None:
    assert ended(desk, ">&-") == (0, "")
    desk.check_complete()


@pytest.mark.slow
@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "2> >(exec true)"], ids=["closed", "full", "unread"])
def test_what_is_told_beside_the_output_may_be_lost_and_the_run_is_not(desk: Desk, redirected: str) -> None:
    assert desk.run_here()[0] == 0
    asked = len(desk.server.requests)
    assert ended(desk, redirected) == (0, "")  # a notice is told: an earlier run's answers are kept
    assert len(desk.server.requests) == 2 * asked
    assert list((desk.folder / "out").glob("journal.previous*"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_cannot_be_written_is_told_and_the_results_are_there(desk: Desk) -> None:
    complaint = "batch.py: the standard output: No space left on device; what is finished is in out\n"
    assert ended(desk, ">/dev/full") == (3, complaint)
    desk.check_complete()
