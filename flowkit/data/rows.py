"""The rows of a run on disk, a row per input line: one file, or one for each shard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

from flowkit.base.files import write_whole
from flowkit.base.json_text import JsonObject
from flowkit.base.scale import scale_named
from flowkit.base.text import clean, shown
from flowkit.data.lines import read_objects
from flowkit.data.records import Row, plain, record

EXAMPLE = '{"question": "...", "statements": {}, "verdicts": {}}'
NUMBERS = ("line", "history_dropped")
TEXTS = ("question", "answer", "finish_reason", "model", "error", "answered_from", "reference")
JSON_COLUMNS = ("chat_history", "tokens", "timing", "verdicts", "statements", "rules", "extra", "inputs")


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows whole or not at all. A column of a Parquet file that holds more than a value is JSON text."""
    if path.suffix == ".parquet":
        import pyarrow as pa  # comes with Ray
        from pyarrow import parquet

        flat = [{name: _cell(value) for name, value in plain(row).items()} for row in rows]
        buffer = pa.BufferOutputStream()
        parquet.write_table(pa.Table.from_pylist(flat, _schema()), buffer)
        write_whole(path, buffer.getvalue().to_pybytes())
    else:
        write_whole(path, clean("".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows)).encode())


def read_rows(folder: Path) -> Sequence[Row]:
    """Return the rows of a run from its folder, of format 1 too. Raises BadInputError for the first that is none."""
    whole, shards = folder / "details.jsonl", row_files(folder)
    if shards and not whole.exists():  # whoever writes shards removes the one file of a run before
        return StoredRows(shards)
    return read_objects(whole, read_row, EXAMPLE)


class StoredRows(Sequence[Row]):
    """The rows of a run in shards, read from disk each time they are looked at: memory holds one shard.

    paths: the files of rows, in order. count: how many rows they hold, None to count them.
    """

    def __init__(self, paths: Sequence[Path], count: int | None = None) -> None:
        self._paths = paths
        self._count = sum(1 for _ in self) if count is None else count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        for path in self._paths:
            yield from _read_shard(path)

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


def read_row(number: int, fields: JsonObject) -> Row:
    """Return the row that JSON `fields` hold; rows of former versions lack some. number: where it has no line number.

    Raises ValueError or TypeError where it is none.
    """
    for name, kinds in {"question": str, "statements": dict, "verdicts": dict | None}.items():
        if name not in fields:
            raise ValueError(f"{name!r} is missing; expected a row as batch.py writes it")
        if not isinstance(fields[name], kinds):
            raise TypeError(f"{name!r} must be as batch.py writes it, got {shown(fields[name])}")
    for name, verdict in (fields["verdicts"] or {}).items():
        if not isinstance(verdict, dict):
            raise TypeError(f"verdict {shown(name)} must be an object with a score, got {shown(verdict)}")
        score, scale = verdict.get("score"), scale_named(verdict.get("scale"))
        if score is not None and (isinstance(score, str) or scale.as_score(score) is None):
            expected = f"a whole number from {scale.lowest} to {scale.highest}"
            raise ValueError(f"verdict {shown(name)}: score must be {expected}, got {shown(score)}")
    return record(Row, {"line": number, **fields})


def _read_shard(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        for row in parquet.read_table(path).to_pylist():
            found = {
                name: json.loads(value) if name in JSON_COLUMNS else value
                for name, value in row.items()
                if value is not None
            }
            yield record(Row, found)
    else:
        for text in path.read_bytes().splitlines():
            yield record(Row, json.loads(text))


def _schema() -> Any:
    """Return the types of a Parquet file's columns, the same in every shard."""
    import pyarrow as pa

    columns = [(name, pa.int64()) for name in NUMBERS] + [(name, pa.string()) for name in (*TEXTS, *JSON_COLUMNS)]
    return pa.schema([*columns, ("refused", pa.bool_()), ("cost_usd", pa.float64())])


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
