"""`pf flow build --format docker`, as docs/promptflow.md says: what the image installs, and what it serves."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import documents, programs
from tests.chat_server import ChatServer
from tests.notebook import copy_of_project
from tests.test_serving import server_sent_events

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.promptflow]


def test_the_built_folder_installs_and_its_server_streams(server: ChatServer, tmp_path: Path) -> None:
    environment = programs.environment_of(tmp_path / "home", OPENAI_BASE_URL=server.base_url, OPENAI_MODEL="m")
    project, venv, uv = copy_of_project(tmp_path), tmp_path / "venv", Path(sys.executable).with_name("uv")
    (commands,) = [block for block in documents.blocks("docs/promptflow.md", "sh") if "--format docker" in block]
    for command in commands.splitlines():
        if not command.startswith("docker "):
            subprocess.run(["bash", "-ec", command], cwd=project, env=environment, check=True, capture_output=True)
    recipe = (project / "dist" / "Dockerfile").read_text()
    assert "python=3.11 -q -y" in recipe
    assert "\nENV PROMPTFLOW_SERVING_ENGINE=fastapi\nEXPOSE 8080\n" in recipe

    # The caches are in the home of the person, and not in that of the tests.
    online = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir, "UV_SYSTEM_CERTS": "1"}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], env=online, check=True)
    wanted = re.findall(r"pip install (.+?)(?: && \\)?\n", recipe)
    assert len(wanted) == 5
    for words in wanted:
        what = shlex.split(words.replace("/flow/", f"{project}/dist/flow/"))
        subprocess.run([uv, "pip", "install", "--quiet", "--python", venv, *what], env=online, check=True)

    # As the image's own start script does, on another port and with one worker instead of eight.
    script = (project / "dist" / "runit" / "promptflow-serve" / "run").read_text()
    application = "promptflow.core._serving.app:create_app(engine='fastapi')"
    assert "--worker-class uvicorn.workers.UvicornWorker" in script
    port = programs.free_port()
    serve = [f"{venv}/bin/gunicorn", "--worker-class", "uvicorn.workers.UvicornWorker", "-w", "1"]
    environment["PATH"] = f"{venv}/bin:/usr/bin:/bin"
    with programs.running(
        [*serve, "-b", f"127.0.0.1:{port}", application],
        project / "dist" / "flow",
        environment,
        lambda: programs.answers(port, "/health"),
    ):
        events = [event.data for event in server_sent_events(port, {"question": "What is it?"})]
    assert events == [{"output": "Hello"}, {"output": " there"}, {"output": "."}]
