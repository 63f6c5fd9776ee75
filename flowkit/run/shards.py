"""A run in shards of a hundred lines, each with a file of its lines, a journal, and a file of its rows.

Whoever works on a shard finds in its journal what is finished, and asks for the rest: it does not matter which process
or machine began it. All need to see the run's folder.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from flowkit.base.errors import BadInputError
from flowkit.base.files import write_whole
from flowkit.bridge.entry import AnswerEntry, JudgeEntry, Outcomes
from flowkit.data.lines import Line
from flowkit.data.lint import lint
from flowkit.data.rows import write_rows
from flowkit.run.interruption import Interruption
from flowkit.run.job import answer_key, rows_of, verdict_key
from flowkit.run.journal import Journal
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
        return [Line(**json.loads(text)) for text in self.file("lines").read_bytes().splitlines()]


@dataclass(frozen=True)
class Layout:
    """What there is to do: how many lines in how many shards, which statements, and what is wrong with those."""

    lines: int
    shards: int
    names: list[str]
    findings: list[str]


def lay_out(lines: Iterable[Line], folder: Path) -> Layout:
    """Cut the data into shards and read what matters of it on the way. Raises BadInputError for a bad line."""
    shutil.rmtree(folder / "lines", ignore_errors=True)
    count, names = 0, dict[str, None]()

    def statements() -> Iterator[Mapping[str, str]]:
        nonlocal count
        for line in split(lines, folder):
            count += 1
            names.update(dict.fromkeys(line.statements))
            yield line.statements

    findings = lint(statements())
    return Layout(count, -(-count // LINES_PER_SHARD), list(names), findings)


def make_room(folder: Path, *, resume: bool) -> None:
    """Remove the rows of an earlier run, and put its journals aside: they may hold what has been paid for.

    resume: go on with those journals. Raises BadInputError where there are none.
    """
    journals, aside = folder / "journal", folder / "journal.previous"
    if resume and not journals.is_dir():
        raise BadInputError(f"{journals}: no run on Ray to go on with; start one with --out {folder}")
    if not resume and journals.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
        journals.rename(aside)
    shutil.rmtree(folder / "details", ignore_errors=True)
    (folder / "details.jsonl").unlink(missing_ok=True)
    journals.mkdir(exist_ok=True)


def split(lines: Iterable[Line], folder: Path) -> Iterator[Line]:
    """Write the lines into shards and pass them on; the memory it takes is that of one shard."""
    rest = iter(lines)
    number = 0
    while some := list(islice(rest, LINES_PER_SHARD)):
        text = "".join(json.dumps(asdict(line)) + "\n" for line in some)
        write_whole(Shard(folder, number).file("lines"), text.encode())
        yield from some
        number += 1


async def run_shard(
    shard: Shard, chat_flow: Any, eval_flow: Any, turns: asyncio.Semaphore, limit_s: float | None, suffix: str
) -> Sums:
    """Ask for what the shard's journal does not hold yet, write a row per line, and return their sums.

    turns: for the lines under way, of this shard and others. limit_s: seconds for an answer, and for its verdicts.
    suffix: of the file of rows, ".jsonl" or ".parquet". A line that fails is a row with its error.
    """
    lines, path, interruption = shard.lines(), shard.file("journal"), Interruption()
    with Journal(path, resume=path.exists()) as journal:
        keys = {shard.first + i: answer_key(shard.first + i, line, chat_flow) for i, line in enumerate(lines)}
        answers = Outcomes(keys, journal, interruption, limit_s)
        verdicts = Outcomes({}, journal, interruption, limit_s)
        answer, judge = AnswerEntry(chat_flow, answers), JudgeEntry(eval_flow, verdicts)

        async def finish(position: int, line: Line) -> None:
            async with turns:
                if keys[position] not in journal.finished:
                    with suppress(Exception):  # it is noted in `answers`
                        await answer(position, line.question, line.chat_history)
                if (answered := journal.finished.get(keys[position])) is None:
                    return
                key = verdict_key(keys[position], answered["output"], line, eval_flow)
                verdicts.keys[position] = key
                if key not in journal.finished:
                    with suppress(Exception):
                        await judge(position, answered["output"], line.statements)

        await asyncio.gather(*(finish(shard.first + i, line) for i, line in enumerate(lines)))
        rows = rows_of(lines, answers, verdicts, shard.first)
    write_rows(shard.file("details", suffix), rows)
    return Sums.of(rows)
