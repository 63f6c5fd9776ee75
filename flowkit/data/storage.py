"""Data files wherever pyarrow reads, and so Ray: here, in S3, GCS, Azure or HDFS; one, or a folder of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pyarrow as pa
from pyarrow import fs, parquet

from flowkit.base.errors import BadInputError
from flowkit.base.json_text import JsonObject
from flowkit.data.checklist import Checklist
from flowkit.data.lines import lines_in, rows_in
from flowkit.data.records import Line
from flowkit.prompt.prompty import Prompt

KINDS = (".jsonl", ".csv", ".tsv", ".parquet")
ROWS_AT_ONCE = 1000  # of a Parquet file, in memory


def read(location: str, prompt: Prompt | None = None, checklist: Checklist | None = None) -> Iterator[Line]:
    """Yield the checked lines of a JSONL, CSV, TSV or Parquet file, or of all such files right in a folder, by name.

    location: a path, or a URI such as s3://bucket/lines.jsonl.gz. Numbers of lines go on from file to file.
    prompt: whose own inputs are columns of the files. checklist: statements that join those of each line.
    Raises BadInputError for the first line that is none, and where there are no lines.
    """
    try:
        system, path = fs.FileSystem.from_uri(location) if "://" in location else (fs.LocalFileSystem(), location)
        names, last = _files(system, path), 0
        for name in names:
            before, rows = last, _rows(system, name)
            first = next(rows, None)
            if first is None and len(names) > 1:
                continue  # whoever writes in parts may leave one empty
            for line in lines_in(name, chain([first] if first else [], rows), prompt, checklist):
                last = before + line.number
                yield replace(line, number=last)
        if not last:
            raise BadInputError(f"{location}: no lines; expected files that end with {', '.join(KINDS)}")
    except (OSError, pa.ArrowException) as error:
        raise BadInputError(f"{location}: cannot be read: {error}") from None


def _files(system: fs.FileSystem, path: str) -> list[str]:
    if system.get_file_info(path).type != fs.FileType.Directory:
        return [path]
    found = (info.path for info in system.get_file_info(fs.FileSelector(path)))
    return sorted(name for name in found if name.removesuffix(".gz").endswith(KINDS))


def _rows(system: fs.FileSystem, path: str) -> Iterator[tuple[int, str | JsonObject]]:
    if path.endswith(".parquet"):
        with system.open_input_file(path) as file:
            batches = parquet.ParquetFile(file).iter_batches(batch_size=ROWS_AT_ONCE)
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            yield from enumerate(map(_without_nulls, rows), start=1)
    else:
        with io.BufferedReader(system.open_input_stream(path)) as file:  # pyarrow unpacks it
            yield from rows_in(path.removesuffix(".gz"), file)


def _without_nulls(row: JsonObject) -> JsonObject:
    """Leave out what a line does not have: in a Parquet file, every row has every column."""
    kept = {name: value for name, value in row.items() if value is not None}
    if isinstance(kept.get("statements"), dict):
        kept["statements"] = {name: text for name, text in kept["statements"].items() if text is not None}
    return kept
