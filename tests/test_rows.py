"""The rows of a run on disk: in one file, in shards, and what is no row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowkit.base.errors import BadInputError
from flowkit.data.records import plain
from flowkit.data.rows import read_rows, write_rows
from flowkit.report.html import write_report
from tests.runs import failed, row, write_run

STATEMENTS = {"good": "It is good.", "größer als": "Es ist größer \u2028 als."}
ROWS = [
    row(1, STATEMENTS, [4, None], chat_history=[{"role": "user", "content": "U+2028 \u2028 and ü?"}]),
    failed(2, STATEMENTS),
    row(3, {}, [], answer=""),
]


@pytest.mark.parametrize("suffix", ["", ".jsonl", ".parquet"])
def test_rows_are_read_as_they_were_written(suffix: str, tmp_path: Path) -> None:
    """In one file, or in a file for each shard."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow comes with ray: pip install -r requirements-ray.txt")
    for number in range(len(ROWS) if suffix else 0):
        write_rows(tmp_path / "details" / f"{number:06}{suffix}", ROWS[number : number + 1])
    if not suffix:
        write_rows(tmp_path / "details.jsonl", ROWS)
    found = read_rows(tmp_path)
    assert list(found) == ROWS
    assert len(found) == len(ROWS)
    assert (found[-1], found[1:]) == (ROWS[-1], ROWS[1:])


def test_a_run_here_after_one_on_ray_in_the_same_folder_counts(tmp_path: Path) -> None:
    write_rows(tmp_path / "details" / "000000.jsonl", ROWS[:1])
    write_rows(tmp_path / "details.jsonl", ROWS[1:])
    assert read_rows(tmp_path) == ROWS[1:]


def test_a_row_of_a_former_version_has_at_least_a_line(tmp_path: Path) -> None:
    kept = {name: plain(ROWS[0])[name] for name in ("question", "statements", "verdicts")}
    (tmp_path / "details.jsonl").write_text(json.dumps(kept), encoding="utf-8")
    (found,) = read_rows(tmp_path)
    assert (found.line, found.answer, found.error) == (1, None, None)


def test_a_run_in_shards_can_be_the_baseline(tmp_path: Path) -> None:
    before, now = write_run(tmp_path / "before", ROWS), write_run(tmp_path / "now", ROWS)
    (before / "details.jsonl").unlink()
    for number, some in enumerate((ROWS[:2], ROWS[2:])):
        write_rows(before / "details" / f"{number:06}.jsonl", some)
    assert "before, 3 lines in both" in write_report(now, before).read_text(encoding="utf-8")


BAD_ROWS = [
    (None, "cannot be read: No such file or directory"),
    (b"", 'is empty; expected lines such as {"question"'),
    (b"\xff\xfe", "expected UTF-8"),
    (b"\n{bad", "line 2: expected a JSON object such as {"),
    (b"9" * 5000, "line 1: expected a JSON object such as {"),
    (b"[" * 100_000, "line 1: expected a JSON object such as {"),
    (b"[]", "line 1: expected a JSON object such as {"),
    (b'{"statements": {}, "verdicts": {}}', "line 1: 'question' is missing"),
    (b'{"question": 5, "statements": {}, "verdicts": {}}', "line 1: 'question' must be as batch.py writes it, got 5"),
    (b'{"question": "", "statements": [], "verdicts": {}}', "line 1: 'statements' must be as batch.py writes it"),
    (b'{"question": "", "statements": {}, "verdicts": [4]}', "line 1: 'verdicts' must be as batch.py writes it"),
    (b'{"question": "", "statements": {}, "verdicts": {"a": 4}}', "line 1: verdict 'a' must be an object with a score"),
    (
        b'{"question": "", "statements": {}, "verdicts": {"a": {"score": 6}}}',
        "score must be a whole number from 1 to 5",
    ),
    (b'{"question": "", "statements": {}, "verdicts": {"a": {"score": true}}}', "from 1 to 5, got True"),
    (b'{"question": "", "statements": {}, "verdicts": {"a": {"score": NaN}}}', "from 1 to 5, got nan"),
    (b'{"question": "", "statements": {}, "verdicts": {"a": {"score": "4"}}}', "from 1 to 5, got '4'"),
]


@pytest.mark.parametrize(("content", "says"), BAD_ROWS, ids=[says[:40] for _, says in BAD_ROWS])
def test_a_bad_row_gets_one_clear_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "details.jsonl").write_bytes(content)
    with pytest.raises(BadInputError) as raised:
        read_rows(tmp_path)
    said = str(raised.value)
    assert said.startswith(str(tmp_path / "details.jsonl"))
    assert says in said
    assert "\n" not in said
    assert len(said) < 400
