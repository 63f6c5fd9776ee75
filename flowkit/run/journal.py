"""What of a run is finished, on disk the moment it is: one JSON line per answer and per verdict."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


class Journal:
    """An append-only file of {"key", "output", ...}. Keys name what was asked of which model with which prompt.

    A line of it is written whole or, when the process or the disk dies amid it, is the last one and is passed over.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.finished: dict[str, dict[str, Any]] = _read(path) if resume else {}
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume and path.is_file():
            path.replace(path.with_suffix(".previous.jsonl"))  # it may hold what has been paid for
        torn = resume and not path.read_bytes().endswith(b"\n")
        self._file: IO[bytes] = path.open("ab" if resume else "wb")
        if torn:
            self._file.write(b"\n")

    def append(self, key: str, record: dict[str, Any]) -> None:
        """Keep `record`; once this returns, a killed process no longer loses it. Raises OSError on a full disk."""
        line = json.dumps({"key": key, **record}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self._file.write(line + b"\n")
        self._file.flush()
        self.finished[key] = record

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk has been reported, line by line
            self._file.close()


def key_of(*parts: Any) -> str:
    """Return a key that is the same for the same parts in every process."""
    content = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    finished: dict[str, dict[str, Any]] = {}
    with path.open("rb") as lines:
        for line in lines:
            try:
                record = json.loads(line)
                finished[record.pop("key")] = record
            except (ValueError, KeyError, AttributeError, TypeError):
                continue  # torn by a crash: it was not finished
    return finished
