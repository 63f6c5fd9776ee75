"""What people say: their scores of pairs of answer and statement, and the sample of a run's pairs that they were asked.

labels.jsonl is what the page of a run saves; sample.json in the run's folder says which pairs were drawn, and with
which probability.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flowkit.base.files import write_whole
from flowkit.base.json_text import JsonObject
from flowkit.base.scale import SCORES
from flowkit.base.text import check_text, clean, is_nothing, read_text, shown
from flowkit.data.lines import check_names, read_objects
from flowkit.data.records import FORMAT, plain

EXAMPLE = '{"answer": "Paris.", "statement": "It names the capital of France.", "score": 5}'


@dataclass(frozen=True)
class Label:
    """What a person thinks: how well a statement applies to an answer, 1 to 5. number: the line of the file.

    question, reference: what the person was shown besides the answer, for the judge to see too.

    Of a run's page also: line: the number of the run's line. name: the statement's. run: which pairs the page had
    (see `Sample`). chosen: "sample" where chance chose the pair, "free" where the person did.
    """

    number: int
    answer: str
    statement: str
    score: int
    line: int | None = None
    name: str | None = None
    run: str | None = None
    chosen: str | None = None
    question: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class SampledPair:
    """One statement about the answer of one line. probability: with which it came into the sample."""

    line: int
    name: str
    probability: float


@dataclass(frozen=True)
class Sample:
    """Pairs drawn at random, in the order in which people are asked.

    run: digest of all pairs that could be drawn, 12 hex digits. population: how many those are, by statement.
    method: how they were drawn.
    """

    run: str
    population: dict[str, int]
    pairs: tuple[SampledPair, ...]
    method: str


def read_labels(path: Path) -> list[Label]:
    """Return the labels of a JSONL file. Raises BadInputError for the first that cannot be used."""
    return read_objects(path, _label, EXAMPLE)


def write_sample(folder: Path, sample: Sample) -> None:
    """Write sample.json into the folder of a run, whole or not at all."""
    content = {"format": FORMAT, **plain(sample)}
    write_whole(folder / "sample.json", clean(json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _label(number: int, found: JsonObject) -> Label:
    check_names(found, [each.name for each in fields(Label)])
    if missing := [name for name in ("answer", "statement", "score") if name not in found]:
        raise ValueError(f"{missing[0]!r} is missing; expected an object such as {EXAMPLE}")
    check_text(found["answer"], "'answer'")
    check_text(found["statement"], "'statement'")
    score = _whole(found["score"])
    if type(score) is not int or score not in SCORES:
        raise ValueError(f"'score' must be a whole number from {SCORES[0]} to {SCORES[-1]}, got {shown(score)}")
    line = None if is_nothing(found.get("line")) else _whole(found["line"])
    if line is not None and type(line) is not int:
        raise ValueError(f"'line' must be a whole number, got {shown(line)}")
    texts = [read_text(found.get(name), name) for name in ("name", "run", "chosen", "question", "reference")]
    return Label(number, found["answer"], found["statement"], score, line, *texts)


def _whole(found: Any) -> Any:
    """Return a whole number as one: 5 for 5.0, as pandas writes it beside gaps, and for "5", as tables hold it."""
    text = str(found).strip().removesuffix(".0")
    return int(text) if text.isdecimal() and len(text) < 20 else found
