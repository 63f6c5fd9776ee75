"""The lines of a run on Ray, from every kind of file and place."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from flowkit.base.errors import BadInputError
from flowkit.data.lines import read_lines
from tests.test_lines import in_jsonl, in_table, said

pytest.importorskip("ray", reason="ray is not installed: pip install -r requirements-ray.txt")
pytestmark = [pytest.mark.ray]

TURN = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS: list[dict[str, Any]] = [
    {"question": "One?", "chat_history": TURN, "statements": {"short": "It is short."}},
    {"question": 'Two,\nquoted \u2028 and "all"?', "chat_history": [], "statements": {"right": "It is right."}},
    {"question": "Three?", "chat_history": [], "statements": {}},
]


def in_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {".jsonl": in_jsonl, ".csv": in_table, ".tsv": in_table, ".parquet": in_parquet}


@pytest.mark.parametrize("uri", [False, True], ids=["path", "uri"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_every_kind_of_file_gives_the_same_lines(suffix: str, uri: bool, tmp_path: Path) -> None:
    from flowkit.data.storage import read

    path = WRITERS[suffix](tmp_path / f"data{suffix}", ROWS)
    lines = list(read(path.as_uri() if uri else str(path)))
    assert said(lines) == ROWS
    if suffix != ".parquet":
        assert lines == read_lines(path)


def test_a_folder_of_parts_is_read_by_name_and_an_empty_part_passed_over(tmp_path: Path) -> None:
    from flowkit.data.storage import read

    for name, rows in {"part-2.csv": ROWS[2:], "part-0.parquet": ROWS[:2], "part-1.jsonl": []}.items():
        WRITERS[Path(name).suffix](tmp_path / name, rows)
    (tmp_path / "_SUCCESS").touch()
    lines = list(read(str(tmp_path)))
    assert said(lines) == ROWS
    assert [line.number for line in lines] == [1, 2, 4]  # a table's first line has the names


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_compressed_file_is_read(suffix: str, tmp_path: Path) -> None:
    from flowkit.data.storage import read

    plain = WRITERS[suffix](tmp_path / f"data{suffix}", ROWS)
    (tmp_path / f"data{suffix}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert said(list(read(str(tmp_path / f"data{suffix}.gz")))) == ROWS
    assert said(list(read(str(tmp_path)))) == ROWS


def test_what_cannot_be_read_gets_one_clear_line(tmp_path: Path) -> None:
    from flowkit.data.storage import read

    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    (tmp_path / "bad.jsonl").write_text("{bad")
    (tmp_path / "folder").mkdir()
    in_parquet(tmp_path / "odd.parquet", [{"question": "One?"}, {"question": None}])
    for name, says in {
        "missing.jsonl": "cannot be read: ",
        "empty.jsonl": "is empty; expected lines such as",
        "bad.parquet": "cannot be read: ",
        "bad.jsonl": " line 1: expected a JSON object",
        "odd.parquet": " line 2: 'question' is missing",
        "folder": "no lines; expected files that end with .jsonl",
        "nowhere://bucket/lines.jsonl": "cannot be read: ",
    }.items():
        with pytest.raises(BadInputError) as raised:
            list(read(name if "://" in name else str(tmp_path / name)))
        assert name in str(raised.value)
        assert says in str(raised.value)
        assert "\n" not in str(raised.value)
