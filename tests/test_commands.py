"""promptflow's command line with a model given by `--init`: one class for all services, and no key told."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import documents, programs
from tests.chat_server import USAGE, Answer, ChatServer
from tests.conftest import new_home
from tests.notebook import clean_environment, copy_of_project

pytestmark = [pytest.mark.slow, pytest.mark.promptflow]

KEY = f"sk-{uuid.uuid4()}"  # in no file, this one included


def pf(folder: Path, *words: str, changed: Mapping[str, str] | None = None) -> str:
    """Type a command of promptflow in a copy of the project and return all that it prints.

    changed: files of the copy that have another text.
    """
    copy = copy_of_project(folder)
    for name, text in (changed or {}).items():
        (copy / name).write_text(text)
    environment = {**clean_environment(folder / "home"), **new_home(folder / "home"), "MY_KEY": KEY}
    done = subprocess.run(["pf", *words], cwd=copy, env=environment, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def files_with(text: str, folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("configuration", "path", "header"),
    [
        ('{"model": "m", "base_url": "%s/v1", "api_key": "${env:MY_KEY}"}', "/v1/chat/completions", "authorization"),
        pytest.param(
            '{"azure_deployment": "m", "azure_endpoint": "%s", "api_key": "${env:MY_KEY}", "api_version": "v"}',
            "/openai/deployments/m/chat/completions?api-version=v",
            "api-key",
            marks=pytest.mark.long,
        ),
    ],
    ids=["openai", "azure"],
)
def test_flow_test_asks_the_model_it_is_given_and_keeps_the_key_to_itself(
    server: ChatServer, tmp_path: Path, configuration: str, path: str, header: str
) -> None:
    address = server.base_url.removesuffix("/v1")
    printed = pf(tmp_path, "flow", "test", "--flow", ".", "--init", f"model_config={configuration % address}")
    assert "Hello there." in printed
    assert (server.requests[0].path, server.requests[0].body["model"]) == (path, "m")
    assert server.requests[0].headers[header].endswith(KEY)
    assert KEY not in printed
    assert files_with(KEY, tmp_path) == []


RECORDER = """
import os
import socket

real = socket.getaddrinfo

def getaddrinfo(host, *more, **named):
    with open(os.environ["LOOK_UPS"], "a") as file:
        print(host, file=file)
    return real(host, *more, **named)

socket.getaddrinfo = getaddrinfo
"""
SWITCH = {"APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true"}
LINES = ["--data", "data.jsonl", "--column-mapping", "question=${data.question}"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "variables"),
    [(["pf", "flow", "test", "--flow", "."], {}), (["pf", "run", "create", "--flow", ".", *LINES], SWITCH)],
    ids=["flow test", "run create, with the variable of docs/promptflow.md"],
)
def test_a_command_that_lives_longer_than_60_seconds_looks_nothing_up_outside(
    server: ChatServer, tmp_path: Path, command: list[str], variables: dict[str, str]
) -> None:
    server.usual = Answer(deltas=["word "] * 60, gap_s=1)  # the exporter's worker asks after 5 to 15 seconds
    (tmp_path / "sitecustomize.py").write_text(RECORDER)
    look_ups = tmp_path / "look_ups"
    look_ups.touch()
    environment = {**clean_environment(tmp_path / "home"), **new_home(tmp_path / "home")}
    environment.pop("APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED")
    environment |= {"PYTHONPATH": str(tmp_path), "LOOK_UPS": str(look_ups), "PF_WORKER_COUNT": "3", **variables}
    environment |= {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "m"}
    project, began_s = copy_of_project(tmp_path), time.monotonic()
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, timeout=300)
    assert len(server.requests) in (1, 3)
    assert time.monotonic() - began_s > 60
    assert set(look_ups.read_text().split()) <= {"127.0.0.1", "localhost"}


@pytest.mark.long
def test_the_documented_commands_record_a_run_and_open_its_page(server: ChatServer, tmp_path: Path) -> None:
    (commands,) = [block for block in documents.blocks("docs/promptflow.md", "sh") if "pf run visualize" in block]
    port, project = programs.free_port(), copy_of_project(tmp_path)
    environment = programs.environment_of(tmp_path / "home", OPENAI_BASE_URL=server.base_url, OPENAI_MODEL="m")
    environment["TMPDIR"] = str(tmp_path)

    def type_in(command: str) -> None:
        done = subprocess.run(command.split(), cwd=project, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    on, run, visualize, _, off = commands.splitlines()
    type_in(on)
    # A service that is ours to ask; one that the commands start reads the same home, and ends with it.
    service = [sys.executable, "-m", "promptflow._cli.pf", "service", "start", "--debug", "--port", str(port)]
    with programs.running(service, project, environment, lambda: programs.answers(port, "/heartbeat")):
        type_in(run)
        type_in(visualize)
        lines = programs.get_json(port, "/v1.0/LineRuns/list?run=traced")
    assert [line["outputs"] for line in lines] == ["Hello there."] * 3
    assert {line["cumulative_token_count"]["total"] for line in lines} == {USAGE["total_tokens"]}
    (opened,) = tmp_path.glob("pf-visualize-detail-*.html")
    assert "/v1.0/ui/traces/?#run=traced" in opened.read_text()
    type_in(off)
    assert "destination: none" in (tmp_path / "home" / ".promptflow" / "pf.yaml").read_text()
