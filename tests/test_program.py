"""flow.py and check_list.py as programs: what a person can mend is one line and an exit code."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.base.program import exit_code_of, open_output
from flowkit.run.options import read_options
from tests.conftest import PROJECT
from tests.programs import environment_of, free_port


@pytest.mark.slow
@pytest.mark.parametrize("program", ["flow.py", "check_list.py"])
@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"OPENAI_MODEL": "m"}, 1, "cannot connect to http://127.0.0.1:"),
        ({"OPENAI_API_KEY": "a key"}, 2, "OPENAI_API_KEY has a blank"),
    ],
)
def test_an_error_that_a_person_can_mend_is_one_line(
    tmp_path: Path, program: str, variables: dict[str, str], code: int, said: str
) -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    environment = environment_of(tmp_path / "home", OPENAI_BASE_URL=address, MODEL_MAX_RETRIES="0", **variables)
    command = [sys.executable, str(PROJECT / program)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{program}: {said}")


def test_an_interruption_is_quiet_and_a_fault_of_ours_is_not_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    def faulty() -> int:
        raise KeyError("a fault")

    assert exit_code_of(interrupted, "flow.py") == 130
    assert capsys.readouterr() == ("", "")
    with pytest.raises(KeyError, match="a fault"):
        exit_code_of(faulty, "flow.py")


def test_a_stderr_of_somebody_else_s_is_still_written_to_when_nobody_else_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", (tmp_path / "log").open("w"))
    open_output()
    gc.collect()
    print("told", file=sys.stderr, flush=True)
    assert (tmp_path / "log").read_text() == "told\n"
    sys.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_what_cannot_be_told_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", open("/dev/full", "w"))  # noqa: SIM115
    open_output()
    for _ in range(3):
        print("told", file=sys.stderr, flush=True)
    assert os.path.samestat(os.fstat(sys.stderr.fileno()), os.stat(os.devnull))
    sys.stderr.close()


def test_the_options_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(["--help"])
    assert ended.value.code == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "--sure hold --fail-under against the whole 95 % interval; exit 4" in listed
