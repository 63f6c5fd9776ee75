"""The folder of a run in shards: a new layout takes an earlier one's place, and no journal is lost."""

from __future__ import annotations

import filecmp
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from flowkit.base.errors import BadInputError
from flowkit.base.files import set_aside
from flowkit.run.keys import tasks_of
from flowkit.run.shards import Shard


def make_room(folder: Path, new: Path, shards: int, chat_flow: Any, *, resume: bool) -> Path | None:
    """Put the lines that were laid out in `new` into the run's folder, and remove the rows of an earlier run.

    resume: go on with the journals that are there; where the data has changed since, each entry goes to the shard that
    its line is in now. Returns where journals that are no longer used are kept, None where there are none.
    Raises BadInputError where there is nothing to resume, and where what would be removed may be a person's own.
    """
    journals, aside = folder / "journal", None
    former = [folder / name for name in ("lines", "details")]
    if resume and not journals.is_dir():
        raise BadInputError(f"{journals}: no run on Ray to go on with; start one with --out {folder}")
    if not journals.is_dir() and (unknown := [str(path) for path in former if path.exists()]):
        raise BadInputError(
            f"{', '.join(unknown)}: not made by a run on Ray, and one would need that name; name another --out"
        )
    if journals.is_dir() and not resume:
        aside = set_aside(journals)
    elif journals.is_dir() and not _same_lines(folder, new, shards):
        aside = set_aside(journals)
        _redistribute(aside, folder, new, shards, chat_flow)
    journals.mkdir(exist_ok=True)
    for path in former:
        shutil.rmtree(path, ignore_errors=True)
    (folder / "details.jsonl").unlink(missing_ok=True)
    (new / "lines").replace(folder / "lines")
    new.rmdir()
    return aside


def _same_lines(folder: Path, new: Path, shards: int) -> bool:
    files = [(Shard(folder, number).file("lines"), Shard(new, number).file("lines")) for number in range(shards)]
    return all(old.is_file() and filecmp.cmp(old, now, shallow=False) for old, now in files)


def _redistribute(old: Path, folder: Path, new: Path, shards: int, chat_flow: Any) -> None:
    """Write a journal for each new shard, of the entries of its lines, by way of a database on disk."""
    (folder / "journal").mkdir()
    with closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        database.execute("create table entry (line text, content text)")
        database.executemany("insert into entry values (?, ?)", _entries(old))
        database.execute("create index by_line on entry (line)")
        for number in range(shards):
            keys = [task.key for task in tasks_of(Shard(new, number).lines(), chat_flow)]
            found = database.execute(
                f"select content from entry where line in ({','.join('?' * len(keys))}) order by rowid", keys
            )
            text = "".join(content for (content,) in found)
            if text:
                Shard(folder, number).file("journal").write_text(text, encoding="utf-8")
    (folder / "journal.sqlite").unlink()


def _entries(journals: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(journals.glob("*.jsonl")):
        for line in path.read_bytes().splitlines(keepends=True):
            with suppress(ValueError, KeyError, TypeError):  # torn by a crash: it was not finished
                yield json.loads(line)["line"], line.decode()
