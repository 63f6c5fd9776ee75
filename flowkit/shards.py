"""A run in shards of a hundred lines, each with a file of its lines, a journal, and a file of its rows.

Whoever works on a shard finds in its journal what is finished, and asks for the rest: it does not matter which process
or machine began it. All need to see the run's folder.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

from flowkit.entry import AnswerEntry, JudgeEntry, Outcomes
from flowkit.interruption import Interruption
from flowkit.job import Row, answer_key, rows_of, verdict_key
from flowkit.journal import Journal
from flowkit.lines import BadInputError, Line
from flowkit.lint import lint
from flowkit.sums import Sums

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
        _write(Shard(folder, number).file("lines"), text.encode())
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
    path.parent.mkdir(parents=True, exist_ok=True)
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


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows whole or not at all. A column of a Parquet file that holds more than a value is JSON text."""
    if path.suffix == ".parquet":
        import pyarrow as pa  # comes with Ray
        from pyarrow import parquet

        flat = [{name: _cell(value) for name, value in row.items()} for row in rows]
        buffer = pa.BufferOutputStream()
        parquet.write_table(pa.Table.from_pylist(flat, _schema()), buffer)
        _write(path, buffer.getvalue().to_pybytes())
    else:
        _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


class StoredRows(Sequence[Row]):
    """The rows of a run in shards, read from disk each time they are looked at: memory holds one shard.

    paths: the files of rows, in order. count: how many rows they hold.
    """

    def __init__(self, paths: Sequence[Path], count: int) -> None:
        self._paths, self._count = paths, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        for path in self._paths:
            yield from _read_rows(path)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return list(islice(self, place.start, place.stop, place.step))
        return next(islice(self, range(self._count)[place], None))


def row_files(folder: Path) -> list[Path]:
    """Return the files of rows of a run in shards, in order; none where it is no such run."""
    return sorted(path for path in (folder / "details").glob("*") if path.suffix in (".jsonl", ".parquet"))


def _read_rows(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        for row in parquet.read_table(path).to_pylist():
            yield {name: json.loads(value) if name in JSON_COLUMNS and value else value for name, value in row.items()}
    else:
        yield from map(json.loads, path.read_bytes().splitlines())


JSON_COLUMNS = ("chat_history", "tokens", "timing", "verdicts", "statements")


def _schema() -> Any:
    """Return the types of a Parquet file's columns, the same in every shard."""
    import pyarrow as pa

    numbers, texts = ("line", "history_dropped"), ("question", "answer", "finish_reason", "error", *JSON_COLUMNS)
    return pa.schema([*((name, pa.int64()) for name in numbers), *((name, pa.string()) for name in texts)])


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
