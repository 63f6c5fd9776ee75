"""A run in shards of a hundred lines, each with a file of its lines, a journal, and a file of its rows.

Whoever works on a shard finds in its journal what is finished, and asks for the rest: it does not matter which process
or machine began it. All need to see the run's folder.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from flowkit.base.files import write_whole
from flowkit.data.lint import lint
from flowkit.data.records import Line, Row, plain, record
from flowkit.data.rows import write_rows
from flowkit.run.format_1 import converted
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal
from flowkit.run.keys import Task, tasks_of
from flowkit.run.worker import LineWorker
from flowkit.scores.sums import Sums

LINES_PER_SHARD = 100


@dataclass(frozen=True)
class Shard:
    """The lines from `number * LINES_PER_SHARD` on. folder: the run's."""

    folder: Path
    number: int

    @property
    def first(self) -> int:
        """The position of its first line in the data."""
        return self.number * LINES_PER_SHARD

    def file(self, kind: str, suffix: str = ".jsonl") -> Path:
        """Return its file of that kind: "lines", "journal" or "details"."""
        return self.folder / kind / f"{self.number:06}{suffix}"

    def lines(self) -> list[Line]:
        """Return its lines, which were checked when they were written."""
        return [record(Line, json.loads(text)) for text in self.file("lines").read_bytes().splitlines()]


@dataclass(frozen=True)
class Layout:
    """What there is to do: how many lines in how many shards, which statements, and what is wrong with those."""

    lines: int
    shards: int
    names: list[str]
    findings: list[str]


def lay_out(lines: Iterable[Line], folder: Path, shown: Collection[str] = ()) -> Layout:
    """Cut the data into shards and read what matters of it on the way. Raises BadInputError for a bad line.

    folder: an empty one; it gets `lines/`. shown: what the judge is shown besides the answer.
    """
    count, names = 0, dict[str, None]()

    def counted() -> Iterator[Line]:
        nonlocal count
        for line in _split(lines, folder):
            count += 1
            names.update(dict.fromkeys(line.statements))
            yield line

    findings = lint(counted(), shown)
    return Layout(count, -(-count // LINES_PER_SHARD), list(names), findings)


def _split(lines: Iterable[Line], folder: Path) -> Iterator[Line]:
    """Write the lines into shards and pass them on; the memory it takes is that of one shard."""
    rest = iter(lines)
    number = 0
    while some := list(islice(rest, LINES_PER_SHARD)):
        text = "".join(json.dumps(plain(line)) + "\n" for line in some)
        write_whole(Shard(folder, number).file("lines"), text.encode())
        yield from some
        number += 1


async def run_shard(
    shard: Shard,
    chat_flow: Any,
    eval_flow: Any,
    places: asyncio.Semaphore,
    limit_s: float | None,
    suffix: str,
    by: str | None = None,
) -> Sums:
    """Ask for what the shard's journal does not hold yet, write a row per line, and return their sums.

    places: for the lines under way, of this shard and others. limit_s: seconds for an answer, and for a verdict.
    suffix: of the file of rows, ".jsonl" or ".parquet". by: a column to group the
    rows by. A line that fails is a row with its error.
    """
    lines, path = shard.lines(), shard.file("journal")
    with Journal(path, resume=path.exists()) as journal:
        worker = LineWorker(chat_flow, eval_flow, journal, Interruption(), limit_s)
        tasks = tasks_of(lines, chat_flow)
        for entry in converted(journal.former, tasks, chat_flow, eval_flow, shard.first):
            journal.append(entry)

        async def finish(task: Task) -> Row:
            async with places:
                return await worker.finish(task)

        rows = await asyncio.gather(*map(finish, tasks))
    write_rows(shard.file("details", suffix), rows)
    return Sums.of(rows, by)
