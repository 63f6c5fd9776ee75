"""The processes of a benchmark: the server, and a fresh one for each measurement, none with anything of ours around."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

PROJECT = Path(__file__).absolute().parent.parent
SETTINGS = ("OPENAI_", "AZURE_OPENAI_", "MODEL_", "JUDGE_", "PF_")


@dataclass(frozen=True)
class Finished:
    """What a process printed, and what it took from its start to its end, with the processes that it started.

    peak_mb: of all at one time, memory that they share counted once; 0 where nobody looked. complaints: on stderr.
    """

    printed: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int = 0
    complaints: str = ""


@contextmanager
def hermetic_environment() -> Iterator[dict[str, str]]:
    """Yield an environment in which promptflow reports, starts and downloads nothing, with a new folder as its home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    with tempfile.TemporaryDirectory() as home:
        shutil.copy(PROJECT / "pf.yaml", home)  # telemetry off, no trace service
        (Path(home) / "pf_version_check.json").write_text('{"last_check_time": "2999-01-01 00:00:00.000000"}')
        own = {"HOME": home, "PF_HOME_DIRECTORY": home, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        own |= {"TMPDIR": home}  # promptflow leaves its temporary files behind
        own |= {"APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true"}  # promptflow asks for settings even so
        own |= {"TIKTOKEN_CACHE_DIR": str(_vocabularies(Path(home))), "PYTHONPATH": str(PROJECT)}
        yield {**kept, **own}


@contextmanager
def running_server(environment: dict[str, str], *module: str) -> Iterator[str]:
    """Run the server, or another module with its arguments, and yield its address."""
    command = [sys.executable, "-m", *(module or ("benchmarks.server",))]
    with subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def server_load(base_url: str) -> dict[str, float]:
    """Return what the server has had to do since the last call: the fields of `Load.taken`."""
    connection = HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    connection.request("GET", "/load")
    load: dict[str, float] = json.loads(connection.getresponse().read())
    connection.close()
    return load


def run_python(environment: dict[str, str], *arguments: str) -> Any:
    """Return the JSON that a fresh Python prints. Raises RuntimeError with the end of what it says on stderr."""
    return json.loads(finished_python(environment, *arguments).printed)


def finished_python(
    environment: dict[str, str], *arguments: str, folder: Path = PROJECT, look_every_s: float | None = None
) -> Finished:
    """Run a fresh Python in `folder`, and look at its memory now and then. Raises as `run_python` does."""
    done = finished([sys.executable, *arguments], environment, folder, look_every_s)
    if done.code != 0:
        raise RuntimeError(f"python {' '.join(arguments)} failed:\n{done.complaints[-2000:]}")
    return done


def finished(
    command: Sequence[str], environment: dict[str, str], folder: Path, look_every_s: float | None = None
) -> Finished:
    """Run a program in `folder`, whatever its exit code, and look at its memory now and then."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    cpu_s, start_s, peak_mb = _cpu_of_children_s(), time.perf_counter(), 0.0
    with subprocess.Popen(command, env=environment, cwd=folder, **pipes) as running:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    printed, complaints = running.communicate(timeout=look_every_s)
                    break
                peak_mb = max(peak_mb, _memory_mb(running.pid))
        finally:
            running.kill()
    wall_s = time.perf_counter() - start_s
    return Finished(printed, wall_s, _cpu_of_children_s() - cpu_s, peak_mb, running.returncode, complaints)


def _cpu_of_children_s() -> float:
    """Return the CPU seconds of the processes that have ended, theirs too; the server has not."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory_mb(process_id: int) -> float:
    """Return the memory of a process and its descendants."""
    used = 0
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(process_id)
        for process in (top, *top.children(recursive=True)):
            with suppress(psutil.Error):  # it has ended meanwhile
                memory = process.memory_full_info()
                used += getattr(memory, "pss", memory.uss)  # only Linux knows what is shared by how many
    return used / 2**20


def _vocabularies(home: Path) -> Path:
    """Unpack the vocabularies to where tiktoken finds them, instead of downloading them; return the folder."""
    from flowkit.prompt.tokens import ADDRESS, VOCABULARIES  # here: not in every process that is measured

    folder = home / "vocabularies"
    folder.mkdir()
    for packed in VOCABULARIES.glob("*.tiktoken.gz"):
        address = ADDRESS.format(packed.name.removesuffix(".tiktoken.gz"))
        (folder / hashlib.sha1(address.encode()).hexdigest()).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder
