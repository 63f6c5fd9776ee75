"""The engine of this process: asyncio alone; answers and verdicts of different lines overlap."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from flowkit.data.lint import lint
from flowkit.data.records import Line
from flowkit.data.rows import write_rows
from flowkit.judge.context import shown_by
from flowkit.run.engines import Prompts, Result
from flowkit.run.folder import hold
from flowkit.run.format_1 import converted
from flowkit.run.given import Seen, lines_for
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal
from flowkit.run.keys import Task, tasks_of
from flowkit.run.options import RunOptions
from flowkit.run.spending import Budget
from flowkit.run.worker import LineWorker
from flowkit.scores.sums import sum_up


class LocalEngine:
    """One process, one event loop; rows in memory and in one file."""

    details = "details.jsonl"

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.names: list[str] = []
        self.findings: list[str] = []
        self.notices: list[str] = []
        self.seen = Seen(options)
        self.lines: Sequence[Line] = ()
        self._lock: FileLock | None = None
        self._journal: Journal | None = None

    def read(self, prompts: Prompts) -> None:
        """Read the lines."""
        self.lines = list(self.seen.watch(lines_for(self.options, prompts.chat)))
        self.names = list(self.seen.scales)
        self.findings = [*lint(self.lines, shown_by(prompts.judge)), *self.seen.findings]

    def open(self, chat_flow: Any, eval_flow: Any) -> None:
        """Hold the folder and open its journal."""
        options, at_once = self.options, self.options.concurrency
        budget = Budget(chat_flow, eval_flow, options.max_cost)
        self._lock = hold(options.folder)
        self._journal = journal = Journal(options.folder / "journal.jsonl", resume=options.resume is not None)
        self.notices = [*notices_of(journal, options), *self.seen.notices]
        self.eval_flow = eval_flow and eval_flow.limited(at_once)
        self.interruption = Interruption()
        self.worker = LineWorker(
            chat_flow and chat_flow.limited(at_once),
            self.eval_flow,
            journal,
            self.interruption,
            options.line_timeout,
            budget,
        )
        self.tasks = tasks_of(self.lines, chat_flow)
        for entry in converted(journal.former, self.tasks, chat_flow, eval_flow):
            journal.append(entry)

    def run(self) -> Result:
        """Work on all lines, however it ends, then write the rows."""
        with self.interruption.on_signals():
            self.work()
        rows = [self.worker.row(task) for task in self.tasks]
        write_rows(self.options.folder / self.details, rows)
        return Result(
            rows,
            sum_up(rows, self.options.by),
            self.details,
            (self.interruption.cause,) if self.interruption.cause else (),
        )

    def work(self) -> None:
        """Finish the lines that are not, as many at once as requests may be in flight."""
        missing = [task for task in self.tasks if not self.worker.finished(task)]
        done = len(self.tasks) - len(missing)
        silent = self.options.quiet or None  # None: where nobody looks
        with tqdm(total=len(self.tasks), initial=done, desc="lines", unit="line", disable=silent) as bar:
            at_once = min(self.options.concurrency, len(missing))
            gc.freeze()  # else Python searches all that was loaded for cycles: 0.08 s, in which no answer moves
            try:
                asyncio.run(finish_all(self.worker, missing, at_once, bar.update))
            finally:
                gc.unfreeze()

    def close(self) -> None:
        """Close the journal and let go of the folder."""
        if self._journal:
            self._journal.close()
        if self._lock:
            self._lock.release()


async def finish_all(worker: LineWorker, tasks: Iterable[Task], at_once: int, on_done: Callable[[], object]) -> None:
    """Finish `tasks`, at most `at_once` at a time, in order of their start."""
    waiting = iter(tasks)

    async def one_after_another() -> None:
        for task in waiting:
            await worker.finish(task)
            on_done()

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


def notices_of(journal: Journal, options: RunOptions) -> list[str]:
    """Return what a person has to know of a journal that was there before."""
    notices = []
    if journal.passed_over:
        notices.append(f"{journal.path}: {journal.passed_over} lines could not be read and are asked for again")
    if journal.set_aside:
        resume = f"to go on with it: --resume {options.folder}, after moving it back"
        notices.append(f"an earlier run's answers are kept in {journal.set_aside}; {resume}")
    return notices
