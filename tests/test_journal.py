"""What is finished is on disk, whatever happens to the process next."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.data.records import JournalEntry, Verdict
from flowkit.run.journal import Journal
from flowkit.run.keys import key_of


def entry(key: str, said: str) -> JournalEntry:
    return JournalEntry(key, "line", verdict=Verdict(4, said))


def reread(path: Path) -> dict[str, JournalEntry]:
    with Journal(path, resume=True) as journal:
        return journal.finished


def test_what_was_appended_is_there_for_the_next_run_while_the_file_is_still_open(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", resume=False) as journal:
        journal.append(entry("one", "Größe\u2028\ud83d"))
        assert reread(journal.path) == {"one": entry("one", "Größe\u2028\ufffd")}


@pytest.mark.parametrize("kept", range(1, 40, 3))
def test_a_torn_last_line_is_passed_over_and_writing_goes_on(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, resume=False) as journal:
        journal.append(entry("one", "1"))
        whole = path.read_bytes()
        journal.append(entry("two", "a longer line than the first"))
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    with Journal(path, resume=True) as journal:
        assert set(journal.finished) == {"one"}
        journal.append(entry("three", "3"))
    assert reread(path) == {"one": entry("one", "1"), "three": entry("three", "3")}


def test_a_new_run_begins_anew_and_keeps_the_last_journal(tmp_path: Path) -> None:
    path = tmp_path / "out" / "journal.jsonl"
    for output in ("first", "second"):
        with Journal(path, resume=False) as journal:
            assert journal.finished == {}
            journal.append(entry("one", output))
    assert reread(path) == {"one": entry("one", "second")}
    assert reread(path.with_suffix(".previous.jsonl")) == {"one": entry("one", "first")}


def test_a_run_that_never_was_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(tmp_path / "journal.jsonl", resume=True)
    assert list(tmp_path.iterdir()) == []


parts = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5)


@given(parts, parts)
def test_keys_are_equal_for_equal_parts_only(one: object, other: object) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)
