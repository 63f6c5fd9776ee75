"""promptflow's database is read in worker processes and by runs in several threads; its lock has to bear both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tests.chat_server import Act, Answer, chat_server
from tests.notebook import copy_of_project

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.promptflow]

CONNECTION = """
import sys
from promptflow.client import PFClient
from promptflow.connections import OpenAIConnection

connection = OpenAIConnection(name="open_ai_connection", api_key="sk-of-nobody", base_url=sys.argv[1])
PFClient().connections.create_or_update(connection)
"""
TWO_RUNS = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from promptflow.client import PFClient
from check_list import EvalFlow

DATA = Path("data.jsonl").resolve()  # a run changes the working directory of all threads while it lasts

def judged(name):
    mapping = {"answer": "${data.question}", "statements": "${data.statements}"}
    return PFClient().run(flow=flow, data=DATA, column_mapping=mapping, name=name)

if __name__ == "__main__":
    flow = EvalFlow({"connection": "open_ai_connection", "model": "m"})
    with ThreadPoolExecutor() as threads:
        runs = list(threads.map(judged, ["one", "two"]))
    print([PFClient().runs.get(run.name).status for run in runs])
"""
MAPPING = ["--column-mapping", "question=${data.question}", "chat_history=${data.chat_history}"]


def answer_or_verdict(body: dict[str, Any]) -> Act:
    return Answer() if body.get("stream") else Answer(deltas=['{"explanation": "So it seems.", "score": 4}'])


@dataclass(frozen=True)
class Project:
    """A copy of the project, and a home with the connection that the tutorial uses."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command in the folder; return what it printed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr

    def answered(self, flow: str, *more: str) -> int:
        """Run a flow over the three lines of data; return how many it answered."""
        name = f"run_of_{flow.partition('.')[0]}"
        printed = self.run(
            "pf", "run", "create", "--flow", flow, "--name", name, "--data", "data.jsonl", *MAPPING, *more
        )
        assert '"status": "Completed"' in printed
        outputs = Path(self.environment["PF_HOME_DIRECTORY"]) / ".runs" / name / "flow_outputs" / "output.jsonl"
        return len(outputs.read_text().splitlines())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("forks")
    with chat_server() as model:
        model.usual = answer_or_verdict
        made = Project(copy_of_project(folder), programs.environment_of(folder / "home"))
        assert made.run(sys.executable, "-c", CONNECTION, model.base_url) == ""
        yield made


def test_a_run_of_the_bare_prompty_answers_every_line(project: Project) -> None:
    assert project.answered("chat.prompty") == 3


def test_worker_processes_read_a_connection(project: Project) -> None:
    assert project.answered(".", "--init", 'model_config={"connection": "open_ai_connection", "model": "m"}') == 3


def test_two_runs_in_two_threads_both_end(project: Project) -> None:
    program = project.folder / "two_runs.py"
    program.write_text(TWO_RUNS)
    assert "['Completed', 'Completed']" in project.run(sys.executable, program.name)
