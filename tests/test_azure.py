"""Azure's `evaluate` calls our judge, its columns and means are ours; and Agent Framework's agent calls our flow."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from check_list import EvalFlow
from tests import documents, programs
from tests.chat_server import Act, Answer, ChatServer
from tests.desk import KEY

PYTHON = Path(sys.prefix) / "azure" / "bin" / "python"
LINES = [
    {"answer": "Berlin.", "statements": {"short": "It is short.", "right": "It is right."}},
    {"answer": "Oslo, and much more.", "statements": {"short": "It is short.", "right": "It is right."}},
    {"answer": "Rome.", "statements": {"short": "It is short."}},
]
SCORES = {("Berlin.", "short"): 5, ("Berlin.", "right"): 2, ("Oslo", "short"): 2, ("Rome.", "short"): 4}
PROGRAM = """
import json, sys
from azure.ai.evaluation import evaluate
from check_list import EvalFlow

if __name__ == "__main__":
    result = evaluate(data=sys.argv[1], evaluators={"checklist": EvalFlow().as_evaluator()})
    with open(sys.argv[2], "w") as file:
        json.dump({"metrics": result["metrics"], "rows": result["rows"]}, file)
"""


AGENT = """
import asyncio
from agent_framework import SupportsAgentRun, WorkflowBuilder

async def main():
    agent = ChatAgent(name="chat")
    assert isinstance(agent, SupportsAgentRun)
    print([update.text async for update in agent.run("Where?", stream=True)])
    print((await agent.run([Message("user", ["Who?"]), Message("assistant", ["I."]), "When?"])).text)
    found = await WorkflowBuilder(start_executor=agent).build().run("Why?")
    print([output.text for output in found.get_outputs()])

asyncio.run(main())
"""


def judged(body: dict[str, Any]) -> Act:
    """Score by answer and statement; one answer is right in a way that no reply says."""
    asked = str(body["messages"][-1]["content"])
    for (answer, statement), score in SCORES.items():
        if answer in asked and f"It is {statement}." in asked:
            return Answer(deltas=[json.dumps({"explanation": "So it seems.", "score": score})])
    return Answer(deltas=["I would say so."])


def test_an_evaluator_gives_flat_numbers_and_the_flows_own_figures(server: ChatServer) -> None:
    server.usual = judged
    flow = EvalFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": KEY})
    evaluator = flow.as_evaluator()
    columns = [evaluator(**line) for line in LINES]
    assert columns[0] == {"score_short": 5, "missing_short": 0, "score_right": 2, "missing_right": 0}
    assert math.isnan(columns[1]["score_right"])
    assert columns[1]["missing_right"] == 1
    names = dict.fromkeys(name for each in columns for name in each)
    as_table = [{name: each.get(name, math.nan) for name in names} for each in columns]  # as a data frame has them
    with_none = [{name: each.get(name) for name in names} for each in columns]  # as a row that failed
    figures = flow.__aggregate__([flow(**line) for line in LINES])  # type: ignore[arg-type]
    assert evaluator.__aggregate__(as_table) == evaluator.__aggregate__(with_none) == figures
    assert (figures["average_short"], figures["scored_right"], figures["unscored_right"]) == (11 / 3, 1, 1)


def run(program: str, server: ChatServer, folder: Path, *arguments: str) -> str:
    """Run a program beside Microsoft's packages, and return what it printed; it must end well."""
    if not PYTHON.exists():
        pytest.skip(f"needs azure-ai-evaluation and agent-framework-core in {PYTHON.parent.parent}: make test-azure")
    (folder / "program.py").write_text(program)
    model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "gpt-4o"}
    environment = programs.environment_of(folder / "home", PYTHONPATH=str(documents.PROJECT), **model)
    environment["PF_WORKER_COUNT"] = "4"  # with 1 `evaluate` waits for ever: its loop takes the only thread
    command = [str(PYTHON), "program.py", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.azure
def test_azures_evaluate_gives_our_columns_and_means_and_counts_what_has_no_score(
    server: ChatServer, tmp_path: Path
) -> None:
    if not PYTHON.exists():
        pytest.skip(f"needs azure-ai-evaluation in {PYTHON.parent.parent}: make test-azure")
    server.usual = judged
    data, found = tmp_path / "lines.jsonl", tmp_path / "found.json"
    data.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    (tmp_path / "program.py").write_text(PROGRAM)
    model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "gpt-4o"}
    environment = programs.environment_of(tmp_path / "home", PYTHONPATH=str(documents.PROJECT), **model)
    environment["PF_WORKER_COUNT"] = "4"  # with 1 it waits for ever: its loop takes the only thread
    command = [str(PYTHON), "program.py", str(data), str(found)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(found.read_text())

    flow = EvalFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": KEY})
    ours = flow.__aggregate__([flow(**line) for line in LINES])  # type: ignore[arg-type]
    metrics = {name.removeprefix("checklist."): value for name, value in result["metrics"].items()}
    assert {name: metrics[name] for name in ours} == pytest.approx(ours)
    assert metrics["score_short"] == pytest.approx(ours["average_short"])
    assert metrics["score_right"] == pytest.approx(ours["average_right"])
    assert metrics["missing_right"] == pytest.approx(0.5)
    scores = [row["outputs.checklist.score_short"] for row in result["rows"]]
    assert scores == [5, 2, 4]
    assert [row["outputs.checklist.missing_right"] for row in result["rows"]][:2] == [0, 1]


@pytest.mark.azure
def test_the_documented_agent_streams_answers_with_a_history_alone_and_in_a_workflow(
    server: ChatServer, tmp_path: Path
) -> None:
    (agent,) = [block for block in documents.blocks("docs/leaving-promptflow.md", "python") if "BaseAgent" in block]
    printed = run(agent + AGENT, server, tmp_path).splitlines()
    assert printed == ["['Hello', ' there', '.']", "Hello there.", "['Hello there.']"]
    assert [each["content"] for each in server.requests[1].messages[1:]] == ["Who?", "I.", "When?"]
