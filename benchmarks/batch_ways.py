"""The ways to answer every line of a file and to judge every answer, each a program: how it is started, what it checks.

tutorial and bare: python -m benchmarks.batch_ways WAY DATA AT_ONCE. local and promptflow: batch.py itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from benchmarks.processes import PROJECT
from benchmarks.server import REST_OF_ANSWER, VERDICT
from benchmarks.ways import bare, tutorial

BatchWay = Literal["tutorial", "bare", "local", "promptflow"]
COLUMNS = {name: f"${{data.{name}}}" for name in ("question", "chat_history")}
INSTRUCTIONS = PROJECT / "eval_checklist.prompty"  # as long as what batch.py sends
JUDGED_COLUMNS = {"answer": "${run.outputs.output}", "statements": "${data.statements}"}


def command_of(way: BatchWay, data: Path, at_once: int) -> list[str]:
    """Return Python's arguments; each program exits with 0 only where every line is answered and judged."""
    if way in ("tutorial", "bare"):
        return ["-m", "benchmarks.batch_ways", way, str(data), str(at_once)]
    batch = [str(PROJECT / "batch.py"), "--engine", way, "--data", str(data), "--concurrency", str(at_once)]
    return [*batch, "--out", "out"]


def main(way: str, data: str, at_once: str) -> None:
    """Run the tutorial's way or the bare client in this process and folder.

    Raises ValueError where an answer or a verdict is not as the server gave it.
    """
    base_url = os.environ["OPENAI_BASE_URL"]
    if way == "tutorial":
        answers, verdicts = run_tutorial(base_url, Path(data))
    else:
        lines = [json.loads(line) for line in Path(data).read_text().splitlines()]
        answers, verdicts = asyncio.run(run_bare(base_url, lines, int(at_once)))
    wrong = sum(not answer.endswith(REST_OF_ANSWER) for answer in answers)
    wrong += sum(verdict["score"] != VERDICT["score"] for verdict in verdicts)
    if wrong or 2 * len(answers) != len(verdicts):
        raise ValueError(f"{way}: {len(answers)} answers and {len(verdicts)} verdicts, {wrong} of them wrong")


def run_tutorial(base_url: str, data: Path) -> tuple[Sequence[str], Sequence[Any]]:
    """Return answers and verdicts of two runs of promptflow as it stands: four processes, one line at a time each."""
    from promptflow.client import PFClient

    from benchmarks.tutorial_judge import TutorialJudge

    client, flow = PFClient(), tutorial(base_url)
    answered = client.run(flow=flow, data=data, column_mapping=COLUMNS)
    judge = TutorialJudge(flow.model_config)
    judged = client.run(flow=judge, data=data, run=answered, column_mapping=JUDGED_COLUMNS)
    answers = client.runs.get_details(answered)["outputs.output"]
    verdicts = client.runs.get_details(judged).filter(like="outputs.")
    return list(answers), [verdict for column in verdicts for verdict in verdicts[column]]


async def run_bare(base_url: str, lines: Sequence[Any], at_once: int) -> tuple[Sequence[str], Sequence[Any]]:
    """Return answers and verdicts of openai's client below a semaphore of `at_once` requests.

    A line's verdicts are asked for at the same time, as soon as it is answered. Little can be faster.
    """
    instructions = INSTRUCTIONS.read_text()
    gate = asyncio.Semaphore(at_once)

    async with bare(base_url) as client:

        async def judge(answer: str, statement: str) -> Any:
            async with gate:
                return await client.judge(instructions, answer, statement)

        async def finish(line: Any) -> tuple[str, list[Any]]:
            async with gate:
                answer = "".join([piece async for piece in client.ask(line["question"], line["chat_history"])])
            return answer, await asyncio.gather(*(judge(answer, text) for text in line["statements"].values()))

        done = await asyncio.gather(*(finish(line) for line in lines))
    return [answer for answer, _ in done], [verdict for _, verdicts in done for verdict in verdicts]


if __name__ == "__main__":
    main(*sys.argv[1:])
