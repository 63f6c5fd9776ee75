"""The three ways to answer every line of a file and to judge every answer, each timed in halves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.processes import PROJECT, server_load
from benchmarks.server import REST_OF_ANSWER, VERDICT
from benchmarks.ways import Bare, WayName, bare, tutorial

COLUMNS = {name: f"${{data.{name}}}" for name in ("question", "chat_history")}
JUDGED_COLUMNS = {"answer": "${run.outputs.output}", "statements": "${data.statements}"}

Results = tuple[list[str], list[Any]]  # answers and verdicts


class Clock:
    """Times a call and its halves, and asks the server how many requests each half had in flight at most."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.found: dict[str, float] = {}

    @contextmanager
    def call(self) -> Iterator[None]:
        """Time both halves; imports and preparations come before, the CPU seconds of this process until then too."""
        self.found["cpu before s"] = time.process_time()
        with self._timed("both"):
            yield

    @contextmanager
    def half(self, name: str) -> Iterator[None]:
        """Time the "answers" or the "verdicts"."""
        server_load(self.base_url)
        with self._timed(name):
            yield
        self.found[f"{name} in flight"] = server_load(self.base_url)["most_in_flight"]

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        self.found[f"{part} s"] = time.perf_counter() - start_s


def measure(way: WayName, base_url: str, data: Path, at_once: int) -> dict[str, float]:
    """Run one way in the working directory; return what its clock found.

    Raises ValueError where an answer or a verdict is not as the server gave it.
    """
    clock = Clock(base_url)
    answers, verdicts = {"tutorial": run_tutorial, "bare": run_bare, "ours": run_ours}[way](data, at_once, clock)
    wrong = sum(not answer.endswith(REST_OF_ANSWER) for answer in answers)
    wrong += sum(verdict["score"] != VERDICT["score"] for verdict in verdicts)
    if wrong or 2 * len(answers) != len(verdicts):
        raise ValueError(f"{way}: {len(answers)} answers and {len(verdicts)} verdicts, {wrong} of them wrong")
    return clock.found


def run_tutorial(data: Path, at_once: int, clock: Clock) -> Results:
    """Two runs of promptflow as it stands: four processes, whatever `at_once` says."""
    from promptflow.client import PFClient

    from benchmarks.tutorial_judge import TutorialJudge

    client, flow = PFClient(), tutorial(clock.base_url)
    judge = TutorialJudge(flow.model_config)
    with clock.call():
        with clock.half("answers"):
            answered = client.run(flow=flow, data=data, column_mapping=COLUMNS)
        with clock.half("verdicts"):
            judged = client.run(flow=judge, data=data, run=answered, column_mapping=JUDGED_COLUMNS)
    answers = client.runs.get_details(answered)["outputs.output"]
    verdicts = client.runs.get_details(judged).filter(like="outputs.")
    return list(answers), [verdict for column in verdicts for verdict in verdicts[column]]


def run_bare(data: Path, at_once: int, clock: Clock) -> Results:
    """A client of openai's and a semaphore: nothing can be much faster."""
    import aiohttp  # noqa: F401 - openai imports it late
    import openai  # noqa: F401

    instructions = (PROJECT / "eval_checklist.prompty").read_text()  # as long as what ours sends
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    gate = asyncio.Semaphore(at_once)

    async def answer(client: Bare, line: Any) -> str:
        async with gate:
            return "".join([piece async for piece in client.ask(line["question"], line["chat_history"])])

    async def judge(client: Bare, answer: str, statement: str) -> Any:
        async with gate:
            return await client.judge(instructions, answer, statement)

    async def run() -> Results:
        with clock.half("answers"):
            async with bare(clock.base_url) as client:
                answers = await asyncio.gather(*(answer(client, line) for line in lines))
        asked = [(a, text) for a, line in zip(answers, lines, strict=True) for text in line["statements"].values()]
        with clock.half("verdicts"):
            async with bare(clock.base_url) as client:
                verdicts = await asyncio.gather(*(judge(client, *each) for each in asked))
        return answers, verdicts

    with clock.call():
        return asyncio.run(run())


def run_ours(data: Path, at_once: int, clock: Clock) -> Results:
    """The program batch.py from its imports to its end, with a job that is timed."""
    import promptflow.client  # noqa: F401 - batch.py imports it amid the job
    from flowkit.run.job import Job

    import batch
    from flowkit.data.rows import Row
    from flowkit.run import engines

    class TimedJob(Job):
        def run(self) -> list[Row]:
            with clock.call():
                return super().run()

        def _run(self, what: str, *more: Any) -> None:
            with clock.half(what):
                super()._run(what, *more)

    with mock.patch.object(engines, "Job", TimedJob):
        code = batch.main(["--data", str(data), "--concurrency", str(at_once)])
    if code != batch.ALL_WELL:
        raise ValueError(f"batch.py ended with {code}")
    rows = [json.loads(line) for line in Path("out", "details.jsonl").read_text().splitlines()]
    return [row["answer"] for row in rows], [verdict for row in rows for verdict in row["verdicts"].values()]
