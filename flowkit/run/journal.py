"""What of a run is finished, on disk the moment it is: one JSON line per answer and per verdict.

"On disk" means handed to the system: a killed process loses nothing; a machine that loses its power loses what the
system had not written yet.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import IO

from flowkit.base.files import set_aside
from flowkit.base.json_text import JsonObject
from flowkit.base.text import clean
from flowkit.data.records import JournalEntry, plain, record


class Journal:
    """An append-only file of `JournalEntry`; `finished` has them by key.

    resume: go on with the file that is there, else begin anew and keep what is there under another name.
    A verdict without a score counts as not finished when a run is resumed: asking again may help.
    set_aside: where an earlier journal is now, None where there was none. passed_over: lines that could not be read.
    former: what a journal of format 1 holds, by its keys.
    earlier: all that was there, verdicts without a score too: what was paid for before.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path, self.passed_over = path, 0
        self.finished: dict[str, JournalEntry] = {}
        self.former: dict[str, JsonObject] = {}
        self.earlier: list[JournalEntry] = []
        torn = resume and self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.set_aside = None if resume else _set_aside(path)
        self._file: IO[bytes] = path.open("ab" if resume else "wb")
        if torn:
            self._file.write(b"\n")

    def append(self, entry: JournalEntry) -> None:
        """Keep `entry`; once this returns, a killed process no longer loses it. Raises OSError on a full disk."""
        line = clean(json.dumps(plain(entry), ensure_ascii=False)).encode()
        self._file.write(line + b"\n")
        self._file.flush()
        self.finished[entry.key] = entry

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # a full disk has been reported, line by line
            self._file.close()

    def _read(self) -> bool:
        """Read what is there; say whether the last line has no end."""
        line = b"\n"
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    found = json.loads(line)
                    if "output" in found:
                        self.former[found.pop("key")] = found
                        continue
                    entry = record(JournalEntry, found)
                except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
                    self.passed_over += 1  # torn by a crash, or not ours: it counts as not finished
                    continue
                self.earlier.append(entry)
                if entry.verdict is None or entry.verdict.score is not None:
                    self.finished[entry.key] = entry
        return not line.endswith(b"\n")


def _set_aside(path: Path) -> Path | None:
    """Keep an earlier journal under another name: it may hold what has been paid for."""
    return set_aside(path) if path.is_file() and path.stat().st_size else None
