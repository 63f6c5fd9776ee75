"""What promptflow's own runs do with a line that fails, once the repairs are in place, and without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flowkit.bridge import replacement
from tests.chat_server import Act, Answer, ChatServer, chat_server
from tests.conftest import new_home
from tests.notebook import clean_environment, copy_of_project

pytestmark = [pytest.mark.promptflow]

ROWS = [{"question": f"Question {i}?", "chat_history": [], "statements": {"short": "It is short."}} for i in range(4)]


KEY = f"sk-{uuid.uuid4()}"


def third_line_fails(body: dict[str, Any]) -> Act:
    if not body.get("stream"):
        return Answer(deltas=['{"explanation": "So it seems.", "score": 4}'])
    return Answer(cut_after=2) if "Question 2?" in body["messages"][-1]["content"] else Answer()


class Project:
    """A copy of the project with a FIFO and a broken link in it, and an evaluation whose `__aggregate__` fails."""

    def __init__(self, folder: Path, server: ChatServer) -> None:
        self.folder = copy_of_project(folder)
        (self.folder / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        os.mkfifo(self.folder / "pipe")
        (self.folder / "broken").symlink_to("nowhere")
        (self.folder / ".env").write_text("JUDGE_MODEL=of-the-dotenv\n")
        (self.folder / "no_sum.py").write_text(NO_SUM)
        (self.folder / "greeter.py").write_text(GREETER)
        home = folder / "home"
        self.environment = {**clean_environment(home), **new_home(home), "OPENAI_BASE_URL": server.base_url}
        self.environment |= {"ITS_ADDRESS": server.base_url, "MY_KEY": KEY}
        self.home, self.runs = home, home / ".promptflow" / ".runs"

    def python(self, program: str, *arguments: str) -> str:
        """Run a program in the folder; return what it printed."""
        command = [sys.executable, "-c", program, *arguments]
        where = {"cwd": self.folder, "env": self.environment, "timeout": 120}
        done = subprocess.run(command, **where, capture_output=True, text=True, check=False)  # type: ignore[call-overload]
        return str(done.stdout + done.stderr)

    def pf_run(self, name: str, flow: str, *words: str) -> str:
        """Create a run and return what was printed."""
        data = ["--data", "lines.jsonl", "--name", name, "--column-mapping"]
        program = "from promptflow._cli.pf import main; main()"
        return self.python(program, "run", "create", "--flow", flow, *data, *words)


NO_SUM = """
from check_list import EvalFlow


class NoSum(EvalFlow):
    def __call__(self, answer: str, statements: dict):
        return super().__call__(answer, statements)

    def __aggregate__(self, line_results: list) -> dict:
        raise ZeroDivisionError("no lines today")
"""
QUESTIONS = ["question=${data.question}", "chat_history=${data.chat_history}"]
ANSWERS = ["answer=${run.outputs.output}", "statements=${data.statements}", "--run", "base"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with chat_server() as server:
        server.usual = third_line_fails
        yield Project(tmp_path_factory.mktemp("repairs"), server)


@pytest.fixture(scope="module")
def base(project: Project) -> str:
    """Run the streaming flow in promptflow's worker processes; one stream is cut."""
    model = '{"model": "m", "base_url": "${env:ITS_ADDRESS}", "api_key": "${env:MY_KEY}"}'
    return project.pf_run("base", ".", *QUESTIONS, "--init", f"model_config={model}")


@pytest.mark.slow
def test_a_stream_that_breaks_off_is_one_failed_line_with_its_own_error(base: str, project: Project) -> None:
    assert '"status": "Completed"' in base
    outputs = (project.runs / "base" / "flow_outputs" / "output.jsonl").read_text().splitlines()
    assert [json.loads(line)["line_number"] for line in outputs] == [0, 1, 3]
    errors = (project.runs / "base" / "error.json").read_text()
    assert "payload is not completed" in errors
    assert "cannot pickle" not in base + errors
    shown = project.python("from promptflow._cli.pf import main; main()", "run", "show-details", "--name", "base")
    assert "(Failed)" in shown


@pytest.mark.slow
def test_a_key_that_is_given_by_the_name_of_its_variable_is_in_no_file(base: str, project: Project) -> None:
    assert KEY not in base
    files = [path for path in project.home.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_the_snapshot_leaves_out_pipes_broken_links_secrets_and_the_virtual_environment(
    base: str, project: Project
) -> None:
    assert base
    snapshot = project.runs / "base" / "snapshot"
    names = {path.name for path in snapshot.iterdir()}
    assert {"flow.py", "flowkit", "chat.prompty"} <= names
    assert not names & {"pipe", "broken", ".env", ".venv", ".git", "out", "tests"}
    assert sum(path.stat().st_size for path in snapshot.rglob("*") if path.is_file()) < 4_000_000


@pytest.mark.long
@pytest.mark.slow
def test_an_evaluation_says_which_lines_it_had_to_leave_out(base: str, project: Project) -> None:
    assert base
    printed = project.pf_run("judged", "check_list:EvalFlow", *ANSWERS)
    assert "1 of 4 lines are not evaluated: the run has no output for them" in printed
    assert json.loads((project.runs / "judged" / "metrics.json").read_text())["total"] == 3


@pytest.mark.slow
@pytest.mark.long
def test_an_aggregation_that_fails_is_an_error_of_the_run(base: str, project: Project) -> None:
    assert base
    printed = project.pf_run("unsummed", "no_sum:NoSum", *ANSWERS)
    assert "no lines today" in printed
    assert "no lines today" in (project.runs / "unsummed" / "error.json").read_text()


SDK_RUN = """
import sys
from promptflow.client import PFClient
from flow import ChatFlow
mapping = {"question": "${data.question}", "chat_history": "${data.chat_history}"}
run = PFClient().run(flow=ChatFlow(), data="lines.jsonl", column_mapping=mapping, name=sys.argv[1], **eval(sys.argv[2]))
print(run.status, (PFClient().get_details(run)["outputs.output"] == "(Failed)").sum())
"""


@pytest.mark.slow
@pytest.mark.long
def test_the_engine_on_one_loop_survives_too_and_leaves_the_persons_flow_file_alone(project: Project) -> None:
    before = (project.folder / "flow.flex.yaml").stat()
    printed = project.python(SDK_RUN, "sdk", "{'batch_use_async': True}")
    assert "Completed 1" in printed
    after = (project.folder / "flow.flex.yaml").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


GREETER = """
import asyncio
import random


class Greeter:
    def __init__(self, greeting: str = "Hi"):
        self.greeting = greeting

    async def __call__(self, name: str) -> str:
        await asyncio.sleep(random.random() / 50)  # so that lines end in another order than they began
        print("said", name)
        return self.greeting + name
"""
MANY_LINES = """
import sys
from promptflow.client import PFClient
from greeter import Greeter

with open("names.jsonl", "w") as file:
    file.write("".join('{"name": "%d"}\\n' % i for i in range(200)))
streams, mapping = (sys.stdout, sys.stderr), {"name": "${data.name}"}
run = PFClient().run(
    flow=Greeter(), data="names.jsonl", column_mapping=mapping, name="many", batch_use_async=True, worker_count=64
)
failed = PFClient().get_details(run, all_results=True)["outputs.output"] == "(Failed)"
print(run.status, failed.sum(), (sys.stdout, sys.stderr) == streams)
"""


@pytest.mark.slow
@pytest.mark.long
def test_the_terminal_is_as_it_was_after_many_lines_at_once(project: Project) -> None:
    assert "Completed 0 True" in project.python("import flowkit.bridge\n" + MANY_LINES)


WITHOUT = """
import sys, types
sys.modules["flowkit.bridge.repairs"] = types.SimpleNamespace(run_and_line=dict)  # what a repair's absence looks like
"""


@pytest.mark.slow
@pytest.mark.long
def test_without_the_repairs_one_broken_stream_ends_the_whole_run(project: Project) -> None:
    printed = project.python(WITHOUT + SDK_RUN, "unrepaired", "{'batch_use_async': True}")
    assert "async_generator" in printed
    assert "Completed 1" not in printed


class Theirs:
    """Stands for a class of promptflow's."""

    def answer(self) -> int:
        """Return the original answer."""
        return 1


def ours(self: Theirs) -> int:
    """Return the repaired answer."""
    return 2


def test_a_method_that_is_not_the_known_one_is_left_alone_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    replacement.replace(Theirs, "answer", ours, "0123456789abcdef")
    replacement.replace(Theirs, "missing", ours, "0123456789abcdef")
    assert Theirs().answer() == 1
    assert not hasattr(Theirs, "missing")
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "Theirs.answer is not the one we know" in caplog.text


def test_every_repair_is_for_the_promptflow_that_is_installed(caplog: pytest.LogCaptureFixture) -> None:
    import promptflow._core.log_manager as logs
    import promptflow._sdk._telemetry.logging_handler as telemetry
    import promptflow._sdk.operations._local_storage_operations as storage
    import promptflow.batch._batch_inputs_processor as inputs
    import promptflow.core._serving._errors as errors
    import promptflow.core._serving.response_creator as answers
    import promptflow.executor._script_executor as executor

    repaired: list[tuple[ModuleType | SimpleNamespace, str, str]] = [
        (executor, "FlowExecutor", "_stringify_generator_output_async"),
        (executor, "ScriptExecutor", "_construct_line_result"),
        (executor, "ScriptExecutor", "_exec_aggregation"),
        (inputs, "BatchInputsProcessor", "_merge_input_dicts_by_line"),
        (storage, "LocalStorageOperations", "dump_snapshot"),
        (telemetry, "PromptFlowSDKLogHandler", "__init__"),
        (logs, "NodeLogWriter", "__init__"),
        (logs, "NodeLogManager", "__exit__"),
        (answers, "ResponseCreator", "generate_async"),
        (errors, "AsyncGeneratorOutputNotSupported", "__init__"),
    ]
    for module, owner, method in repaired:
        assert getattr(getattr(module, owner), method).__module__.startswith("flowkit.bridge."), method
    assert caplog.records == []
