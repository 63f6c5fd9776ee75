"""The folder of a run in shards: what a run has made gives way to the next, and what a person has made does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.base.errors import BadInputError
from flowkit.data.records import Line
from flowkit.run.shard_folder import make_room
from flowkit.run.shards import lay_out


def layout(folder: Path, *questions: str) -> Path:
    new = folder / "lines.unfinished"
    lay_out([Line(number, question, [], {"good": "It is good."}) for number, question in enumerate(questions)], new)
    return new


def kept(folder: Path) -> str:
    return (folder / "lines" / "000000.jsonl").read_text()


def test_the_lines_of_a_run_give_way_to_those_of_the_next(tmp_path: Path) -> None:
    for question in ("Before?", "Now?"):
        make_room(tmp_path, layout(tmp_path, question), 1, None, resume=False)
        (tmp_path / "details").mkdir()
    make_room(tmp_path, layout(tmp_path, "At last?"), 1, None, resume=False)
    assert "At last?" in kept(tmp_path)
    assert not (tmp_path / "details").exists()


@pytest.mark.parametrize("name", ["lines", "details"])
def test_a_persons_own_folder_of_that_name_stays(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name / "mine"
    mine.parent.mkdir()
    mine.touch()
    with pytest.raises(BadInputError, match=f"{name}: not made by a run on Ray"):
        make_room(tmp_path, layout(tmp_path, "Now?"), 1, None, resume=False)
    assert mine.exists()
