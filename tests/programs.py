"""Programs that run beside a test, in a home of their own: ready when the test begins, gone when it ends."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.conftest import new_home
from tests.notebook import clean_environment


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """Make a home and return the whole environment of a program that lives there."""
    return {**clean_environment(home), **new_home(home), **more}


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def give_port(home: Path) -> int:
    """Note a free port for the service of that home, as promptflow does, and return it.

    promptflow notes 23333 unless somebody listens there already; of two homes whose services start at the same moment,
    one then records what belongs to the other.
    """
    executable, port = Path(sys.executable.lower()), free_port()
    noted = home / ".promptflow" / "pfs" / f"bin_{hashlib.sha1(executable.as_posix().encode()).hexdigest()}_pfs.port"
    noted.parent.mkdir(parents=True)
    noted.write_text(f"service:\n  port: {port}\n")
    return port


@contextmanager
def running(
    command: Sequence[str], folder: Path, environment: dict[str, str], ready: Callable[[], bool], limit_s: float = 60
) -> Iterator[None]:
    """Run `command` in `folder`; the block begins when `ready` says so, and nothing of it is left afterwards."""
    log = Path(environment["HOME"]) / "program.log"
    with log.open("wb") as written:
        program = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: program.poll() is not None or ready(), lambda: f"not ready: {log.read_text()[-2000:]}", limit_s)
        assert program.poll() is None, f"ended at once: {log.read_text()[-2000:]}"
        yield
    finally:
        _stop(program, environment)


def until(condition: Callable[[], bool], complaint: Callable[[], str], limit_s: float = 60) -> None:
    """Wait until `condition` is met."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.05)


def answers(port: int, path: str) -> bool:
    """Say whether a server on `port` answers a GET of `path` with 200."""
    try:
        get_json(port, path)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return True


def get_json(port: int, path: str) -> Any:
    """GET `path` from this machine, past any proxy."""
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"{path}: {response.status} {body[:300]!r}")
    return json.loads(body)


def _stop(program: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    """End the program's group politely, then whatever carries its home in the environment."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        program.wait(timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    until(lambda: _nobody_lives_in(environment["HOME"]), lambda: "a process does not end")


def _nobody_lives_in(home: str) -> bool:
    """Kill the processes with this home and say whether there was none (on Linux; elsewhere we know of none)."""
    alive = False
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            if f"HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                alive = True
                os.kill(int(process.name), signal.SIGKILL)
    return not alive
