"""The project installed in a fresh virtual environment without promptflow, and what pyproject.toml says it needs."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.chat_server import Answer, ChatServer, Status
from tests.desk import VERDICT
from tests.notebook import clean_environment, copy_of_project

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).absolute().parent.parent
DECLARED: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = DECLARED["optional-dependencies"]
TOOLS = ("ruff", "mypy", "import-linter", "types-")  # no test of the fast part needs these
TOP_LEVEL = {"flowkit", "offline_model", "flow.py", "check_list.py", "batch.py", "paths.py"}
PROMPTS = {"chat.prompty", "eval_checklist.prompty"}
# All fast tests together take a minute of CPU; the modules that are not named here are imported only. The named ones
# ask, keep and compare: what promptflow once did, or stood beside.
NEAR_PROMPTFLOW = ("test_flow", "test_journal", "that_promptflow_gives")

USE = """
import asyncio, json, sys
from check_list import EvalFlow
from flow import ChatFlow
configuration = {"model": "gpt-4o", "base_url": sys.argv[1], "api_key": "a-key"}
async def answer():
    return "".join([piece async for piece in ChatFlow(configuration)("What is it?")])
verdicts = EvalFlow(configuration)("An answer.", {"short": "It is short."})
print(json.dumps([asyncio.run(answer()), verdicts["short"]["score"], sys.modules["flow"].__file__]))
"""


def requirements(file: str) -> list[Requirement]:
    """Return what a requirements file asks for itself, without the files that it names."""
    lines = (line.split("#")[0].strip() for line in (PROJECT / file).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r")]


def as_texts(wanted: list[Requirement]) -> list[str]:
    return sorted(map(str, wanted))


def test_requirements_txt_is_what_the_project_declares_with_promptflow_and_the_notebook() -> None:
    declared = [*DECLARED["dependencies"], *EXTRAS["promptflow"], *EXTRAS["notebook"]]
    assert as_texts(requirements("requirements.txt")) == as_texts(list(map(Requirement, declared)))


@pytest.mark.parametrize("extra", ["ray", "traces"])
def test_a_requirements_file_of_its_own_is_the_extra_of_that_name(extra: str) -> None:
    assert as_texts(requirements(f"requirements-{extra}.txt")) == as_texts(list(map(Requirement, EXTRAS[extra])))


def test_every_requirement_says_what_it_is_for() -> None:
    for file in ("requirements.txt", "requirements-ray.txt", "requirements-traces.txt", "requirements-dev.txt"):
        lines = (PROJECT / file).read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if not line.startswith("-r") and "  # " not in line] == [], file


def run(*command: object, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)


@dataclass(frozen=True)
class Installed:
    """A fresh virtual environment, and the copy of the project that was installed into it."""

    venv: Path
    project: Path

    def run(self, *command: object, cwd: Path | None = None, code: int = 0) -> str:
        """Run a command with nothing configured, in the project's folder or another one; it must end with `code`."""
        home = self.venv.parent / "home"
        environment = {**clean_environment(home), "PATH": f"{self.venv / 'bin'}:/usr/bin:/bin"}
        done = run(*command, cwd=cwd or self.project, environment=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def install(folder: Path, *what: object) -> Installed:
    """Make a copy of the project and a virtual environment with it, by uv, or by pip where uv cannot: see Makefile.

    what: comes before the copy's path in the command that installs.
    """
    copy, venv, uv = copy_of_project(folder), folder / "venv", Path(sys.executable).with_name("uv")
    # The caches are in the home of the person, and not in that of the tests.
    environment = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir, "UV_SYSTEM_CERTS": "1"}
    by_uv = [(uv, "venv", "--python", sys.executable, venv), (uv, "pip", "install", "--python", venv, *what, copy)]
    by_pip = [
        (sys.executable, "-m", "venv", "--clear", venv),
        (venv / "bin/python", "-m", "pip", "install", *what, copy),
    ]
    told = ""
    for way in (by_uv, by_pip) if uv.exists() else (by_pip,):
        done = [run(*command, cwd=folder, environment=environment) for command in way]
        if not any(each.returncode for each in done):
            return Installed(venv, copy)
        told += "".join(each.stderr for each in done)
    raise AssertionError(told)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the project without extras, and what its fast tests need."""
    for_tests = [each for each in requirements("requirements-dev.txt") if not each.name.startswith(TOOLS)]
    return install(tmp_path_factory.mktemp("install"), "hatchling", *for_tests)


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the project in place."""
    return install(tmp_path_factory.mktemp("editable"), "--editable")


def check_it_works_from(installed: Installed, elsewhere: Path, server: ChatServer, flow: Path) -> None:
    """Assert that classes and command work from another folder, without promptflow; flow: the file they come from."""
    server.usual = lambda body: Answer() if body.get("stream") else VERDICT
    used = installed.run("python", "-W", "error", "-c", USE, server.base_url, cwd=elsewhere)
    assert json.loads(used) == ["Hello there.", 4, str(flow)]
    installed.run("python", "-c", "import promptflow", cwd=elsewhere, code=1)
    (elsewhere / "data.jsonl").write_text(
        '{"question": "What is Prompt flow?", "statements": {"short": "It is short."}}'
    )
    assert "1 answered, 1 judged, 0 failed" in installed.run("chat-batch", "--quiet", cwd=elsewhere)
    assert (elsewhere / "out" / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_installed_it_works_from_any_folder(installed: Installed, tmp_path: Path, server: ChatServer) -> None:
    packages = next(installed.venv.glob("lib/python*/site-packages"))
    check_it_works_from(installed, tmp_path, server, packages / "flow.py")


@pytest.mark.slow
def test_what_the_command_says_to_type_resumes_its_run(
    installed: Installed, tmp_path: Path, server: ChatServer
) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL={server.base_url}\nOPENAI_API_KEY=a-key\n")
    (tmp_path / "data.jsonl").write_text('{"question": "What is it?"}')
    server.usual = Status(400, "not today")
    last_line = installed.run("chat-batch", "--quiet", cwd=tmp_path, code=3).splitlines()[-1]
    server.usual = Answer()
    assert "1 answered, 1 judged, 0 failed" in installed.run(*shlex.split(last_line), cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.long
def test_installed_in_place_it_works_from_any_folder(editable: Installed, tmp_path: Path, server: ChatServer) -> None:
    check_it_works_from(editable, tmp_path, server, editable.project / "flow.py")


def content_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.slow
def test_the_wheel_holds_code_and_data_and_the_source_archive_makes_the_same_one(
    installed: Installed, tmp_path: Path
) -> None:
    build = ("python", "-m", "hatchling", "build", "--directory", tmp_path)
    installed.run(*build)
    (archive,), (wheel,) = tmp_path.glob("*.tar.gz"), tmp_path.glob("*.whl")
    files = content_of(wheel)
    first_parts = {name.split("/")[0] for name in files}
    assert first_parts == {*TOP_LEVEL, *PROMPTS, "chat_async_stream-2.0.0.dist-info"}
    for folder in ("flowkit/prompt/vocab", "flowkit/report/page"):
        here = {f"{folder}/{path.name}" for path in (PROJECT / folder).iterdir()}
        assert here
        assert here <= set(files)
    installed.run("tar", "-xf", archive, cwd=tmp_path)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    installed.run(*build, "--target", "wheel", cwd=unpacked)
    assert content_of(wheel) == files


@pytest.mark.slow
def test_without_promptflow_every_program_works_or_says_what_it_lacks(installed: Installed) -> None:
    assert "Prompt flow is" in installed.run("python", "flow.py")
    assert '"average_correctness"' in installed.run("python", "check_list.py")
    assert "3 lines: 3 answered, 3 judged, 0 failed" in installed.run("python", "batch.py", "--quiet")
    assert "no difference" in installed.run("python", "batch.py", "--quiet", "--resume", "out", "--baseline", "out")
    (installed.project / "out" / "report.html").unlink()
    assert installed.run("python", "-m", "flowkit.report", "out").strip() == "out/report.html"
    assert (installed.project / "out" / "report.html").exists()
    for engine, file in (("promptflow", "requirements.txt"), ("ray", "requirements-ray.txt")):
        lines = installed.run("python", "batch.py", "--engine", engine, code=2).splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"batch.py: --engine {engine} needs {engine}: pip install -r {file}")


@pytest.mark.slow
def test_without_promptflow_a_connection_of_its_is_refused_with_what_to_do(installed: Installed) -> None:
    program = "from flow import ChatFlow; ChatFlow({'connection': 'mine', 'model': 'gpt-4o'})"
    said = installed.run("python", "-c", program, code=1).splitlines()[-1]
    assert said.startswith(
        "ValueError: connection mine: only promptflow knows it, and it is not installed: pip install"
    )


@pytest.mark.slow
@pytest.mark.long
def test_without_promptflow_the_fast_tests_pass(installed: Installed) -> None:
    chosen = ("-m", "not slow and not ray", "-k", " or ".join(NEAR_PROMPTFLOW))
    printed = installed.run(
        "python", "-m", "pytest", "-x", "-p", "no:cacheprovider", "--hypothesis-profile", "quick", *chosen
    )
    assert "needs promptflow: pip install -r requirements.txt" in printed
    assert "failed" not in printed
