"""What the documents say of the project is there: files, rooms, fields."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from flowkit.data import figures, records
from flowkit.data.figures import Figures, Group, HumanMean, JudgeNoise, Mean, WeightedMean, write_figures
from flowkit.data.records import DataInfo, JournalEntry, Line, Row, RunInfo
from tests import documents
from tests.documents import DOCUMENTS, PROJECT

MOST_WORDS = 900
CHANGES = [
    "a retry rule",
    "the score scale",
    "a statement lint",
    "a data format",
    "an engine",
    "a report column",
    "a price",
    "another API",
    "a chart",
    "what the judge sees",
    "a prompty input",
    "a trace format",
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    for target in documents.links(document):
        if not re.match("[a-z]+:", target):
            assert (PROJECT / document.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_file_of_ours_that_a_document_names_is_there(document: Path) -> None:
    if document.name == "CHANGELOG.md":  # tells of files that were
        return
    named = re.findall(
        r"`((?:flowkit|tests|benchmarks|docs|offline_model|\.ci)/[\w./-]*)`", documents.text_of(document)
    )
    assert [name for name in named if not (PROJECT / name).exists()] == []
    in_a_room = re.findall(
        r"`((?:base|prompt|model|data|judge|scores|report|bridge|run)/\w+\.\w+)`", documents.text_of(document)
    )
    assert [name for name in in_a_room if not (PROJECT / "flowkit" / name).exists()] == []


def test_the_rooms_named_are_the_packages_that_exist() -> None:
    packages = {path.parent.name for path in (PROJECT / "flowkit").glob("*/__init__.py")}
    section = documents.sections("ARCHITECTURE.md")["The rooms"]
    assert {cell.removeprefix("`flowkit/").removesuffix("/`") for cell in documents.first_cells(section)} == packages
    picture = set(re.findall(r"[a-z]+", documents.blocks("ARCHITECTURE.md", "text")[0]))
    assert packages <= picture


def test_each_of_the_typical_changes_has_one_file() -> None:
    section = documents.sections("ARCHITECTURE.md")["Where do I change …"]
    assert documents.first_cells(section) == CHANGES
    for row in section.splitlines()[3:]:
        assert len(re.findall(r"\]\([^)]+\)", row)) == (1 if row.startswith("|") else 0), row


def test_the_readme_is_short() -> None:
    assert len(documents.text_of("README.md").split()) <= MOST_WORDS


def documented() -> dict[str, list[str]]:
    """Return the fields that docs/files.md names, by the record that its heading names."""
    found = {
        re.search(r"\(`(\w+)`\)$", title): section for title, section in documents.sections("docs/files.md").items()
    }
    return {
        title[1]: [cell.strip("`") for cell in documents.first_cells(section)]
        for title, section in found.items()
        if title
    }


def on_disk(kind: Any) -> set[Any]:
    """Return the records that a record of that kind is made of, itself included."""
    if not dataclasses.is_dataclass(kind):
        return set().union(*map(on_disk, typing.get_args(kind)))
    inner = typing.get_type_hints(kind, {**vars(records), **vars(figures)}).values()
    return {kind}.union(*map(on_disk, inner))


def test_every_field_on_disk_is_documented_and_no_other() -> None:
    kinds = set().union(*map(on_disk, (Line, Row, JournalEntry, Figures)))
    found = documented()
    assert set(found) == {kind.__name__ for kind in kinds}
    for kind in kinds - {Figures}:
        assert found[kind.__name__] == [each.name for each in dataclasses.fields(kind)], kind.__name__


def test_the_keys_of_metrics_json_are_those_documented(tmp_path: Path) -> None:
    mean = Mean(
        *(4.0, 2, 1, 1.0, 3.0, 4.3),
        ci95=(4.0, 4.0),
        share_ci95=(1.0, 1.0),
        scale="pass",
    )
    weighted = WeightedMean(0.8, 2, 1, 0.5, 0.9, (0.6, 0.9))
    groups: Any = {"by": "topic", "groups": {"": Group(3, 3, 2, 1)}}
    run = RunInfo("m", "m", 1, offline=False, prompts={}, data=DataInfo("data.jsonl", None))
    human, noise = {"<name>": HumanMean(4.0, (3.0, 5.0), 10, 20, 0.5, 0.9)}, JudgeNoise(3, 1, 0.5)
    path = write_figures(
        tmp_path,
        Figures(
            {"<name>": mean},
            3,
            3,
            2,
            1,
            cost_usd=0.01,
            run=run,
            human=human,
            noise=noise,
            weighted_average=weighted,
            **groups,
        ),
    )
    assert documented()["Figures"] == list(json.loads(path.read_bytes()))
