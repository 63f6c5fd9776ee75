"""promptflow's command line with a model given by `--init`: one class for all services, and no key told."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

from tests.chat_server import ChatServer
from tests.conftest import new_home
from tests.notebook import clean_environment, copy_of_project

pytestmark = [pytest.mark.slow, pytest.mark.promptflow]

KEY = f"sk-{uuid.uuid4()}"  # in no file, this one included


def pf(folder: Path, *words: str) -> str:
    """Type a command of promptflow in a copy of the project and return all that it prints."""
    environment = {**clean_environment(folder / "home"), **new_home(folder / "home"), "MY_KEY": KEY}
    done = subprocess.run(
        ["pf", *words], cwd=copy_of_project(folder), env=environment, capture_output=True, text=True, timeout=120
    )
    return done.stdout + done.stderr


def files_with(text: str, folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("configuration", "path", "header"),
    [
        ('{"model": "m", "base_url": "%s/v1", "api_key": "${env:MY_KEY}"}', "/v1/chat/completions", "authorization"),
        (
            '{"azure_deployment": "m", "azure_endpoint": "%s", "api_key": "${env:MY_KEY}", "api_version": "v"}',
            "/openai/deployments/m/chat/completions?api-version=v",
            "api-key",
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
