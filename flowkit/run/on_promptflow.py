"""The engine of the tutorial: `PFClient.run` twice, first for the answers, then for the verdicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from tqdm import tqdm

from flowkit.base.json_text import JsonObject
from flowkit.bridge.entry import AnswerEntry, JudgeEntry, Work
from flowkit.bridge.needs import check_machine
from flowkit.bridge.runs import run_lines
from flowkit.bridge.service import records_traces, without_new_service
from flowkit.data.records import plain
from flowkit.run.engines import Prompts
from flowkit.run.local import LocalEngine

LINES_PER_RUN = 2000  # promptflow keeps all of a run in memory, and its time per line grows with the number of lines


class LineError(Exception):
    """A line failed; promptflow then counts it so."""


class PromptflowEngine(LocalEngine):
    """The same folder, journal and worker as here; promptflow calls the worker for each line."""

    def read(self, prompts: Prompts) -> None:
        """Read the lines."""
        check_machine()
        super().read(prompts)

    def work(self) -> None:
        """Answer the lines that have no answer, then judge those that are not judged."""
        rows = [self.worker.row(task) for task in self.tasks]
        with ExitStack() as promptflow:
            inputs: list[JsonObject] = [
                {"position": i, "question": row.question, "chat_history": row.chat_history}
                for i, row in enumerate(rows)
                if row.answer is None
            ]
            self._run("answers", promptflow, self._answer, AnswerEntry, inputs)
            rows = [self.worker.row(task) for task in self.tasks]
            inputs = [
                {"position": i, "answer": row.answer, "statements": row.statements}
                | {"question": row.question, "chat_history": row.chat_history, "reference": row.reference or ""}
                for i, row in enumerate(rows)
                if row.answer is not None and row.error is not None
            ]
            self._run("verdicts", promptflow, self._judge, lambda work: JudgeEntry(work, self.eval_flow), inputs)

    async def _answer(self, position: int) -> str:
        with self._traced(position):
            answer = await self.worker.answer(self.tasks[position])
        if answer is None:
            raise LineError(self.worker.row(self.tasks[position]).error)
        return answer.text

    async def _judge(self, position: int) -> JsonObject:
        with self._traced(position):
            verdicts = await self.worker.judge(self.tasks[position])
        if verdicts is None:
            raise LineError(self.worker.row(self.tasks[position]).error)
        return {name: plain(verdict) for name, verdict in verdicts.items()}

    def _traced(self, position: int) -> AbstractContextManager[None]:
        """Record both calls for a line as one tree, unless it is for promptflow's page, whose trees belong to runs."""
        return nullcontext() if records_traces() else self.worker.traces.of(self.tasks[position])

    def _run(
        self,
        what: str,
        promptflow: ExitStack,
        work: Work,
        entry_of: Callable[[Work], AnswerEntry | JudgeEntry],
        inputs: list[JsonObject],
    ) -> None:
        """Let promptflow work on `inputs`, below a progress bar; without any, it is not even imported."""
        if not inputs:
            return
        promptflow.enter_context(without_new_service())
        total, silent = len(self.tasks), self.options.quiet or None  # None: where nobody looks
        with tqdm(total=total, initial=total - len(inputs), desc=what, unit="line", disable=silent) as bar:
            entry = entry_of(_counted(work, bar.update))
            for first in range(0, len(inputs), LINES_PER_RUN):
                if self.interruption.requested:
                    return
                try:
                    run_lines(entry, inputs[first : first + LINES_PER_RUN], what=what, at_once=self.options.concurrency)
                except Exception as error:  # promptflow's own: a full disk, say; what is finished is in the journal
                    cause = f"promptflow gave up on the {what}: {type(error).__name__} {error}"
                    self.interruption.request(cause)


def _counted(work: Work, on_done: Callable[[], object]) -> Work:
    async def counted(position: int) -> Awaitable[Any]:
        try:
            return await work(position)  # type: ignore[no-any-return]
        finally:
            on_done()

    return counted
