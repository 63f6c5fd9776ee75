"""What people's labels of a run's sample say about the run: a corrected mean for each statement, or what is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from flowkit.base.scale import FIVE
from flowkit.data.figures import Figures
from flowkit.data.labels import Label, Sample
from flowkit.data.records import Row
from flowkit.scores.correction import human_mean
from flowkit.scores.sample import FEWEST, can_be_labelled, draw

NAMED = 5  # statements in a sentence
COMPARED = 10_000  # characters of an answer: the page of a run does not hold longer ones whole


@dataclass
class _Scores:
    """The scores of one statement: people's of the labelled lines, the judge's of those and of all lines."""

    people: list[float] = field(default_factory=list)
    judged: list[int | None] = field(default_factory=list)
    everywhere: list[int | None] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        return len(self.people) >= min(FEWEST, len(self.everywhere))


def corrected(figures: Figures, rows: Sequence[Row], labels: Sequence[Label]) -> Figures:
    """Return the figures with what people would have given, and with a note for each thing that is missing for it.

    Only labels of the run's own sample count; several of one pair count as their mean.
    """
    sample = draw(rows)
    used = _labels_of_sample(rows, sample, labels)
    statements = _scores(rows, used)
    human = {
        name: human_mean(each.people, each.judged, each.everywhere) for name, each in statements.items() if each.enough
    }
    too_few = _what_is_missing({name: each for name, each in statements.items() if not each.enough})
    counted = [label for each in used.values() for label in each]
    notes = (*figures.notes, *too_few, *_unusual(labels, counted, sample))
    return replace(figures, human=human, notes=notes)


def _labels_of_sample(
    rows: Sequence[Row], sample: Sample, labels: Sequence[Label]
) -> dict[tuple[int, str], list[Label]]:
    """Return the labels that count, by line and statement: chance chose the pair, and the answer is still the same."""
    drawn = {(pair.line, pair.name) for pair in sample.pairs}
    given = defaultdict[tuple[int, str], list[Label]](list)
    for label in labels:
        pair = (label.line or 0, label.name or "")
        if label.chosen == "sample" and pair in drawn:
            given[pair].append(label)
    used = dict[tuple[int, str], list[Label]]()
    for row in rows:
        for name, text in row.statements.items():
            if about := [label for label in given.get((row.line, name), ()) if _is_about(label, row, text)]:
                used[row.line, name] = about
    return used


def _is_about(label: Label, row: Row, statement: str) -> bool:
    return label.answer[:COMPARED] == (row.answer or "")[:COMPARED] and label.statement == statement


def _scores(rows: Sequence[Row], used: dict[tuple[int, str], list[Label]]) -> dict[str, _Scores]:
    statements = defaultdict[str, _Scores](_Scores)
    for row in filter(can_be_labelled, rows):
        for name in (name for name in row.statements if row.scale(name) is FIVE):
            scores, labels = statements[name], used.get((row.line, name))
            scores.everywhere.append(row.score(name))
            if labels:
                scores.people.append(fmean(label.score for label in labels))
                scores.judged.append(row.score(name))
    return dict(statements)


def _what_is_missing(statements: Mapping[str, _Scores]) -> Iterator[str]:
    """Say how many labels the statements still need: each that has some in a sentence, those without any in one."""
    for name, scores in statements.items():
        labels, answers = len(scores.people), len(scores.everywhere)
        if labels and answers < FEWEST:
            yield f"{name}: {labels} of {answers} answers have a label; of fewer than {FEWEST} answers, all need one"
        elif labels:
            more = FEWEST - labels
            yield f"{name}: {labels} labels of the sample, {more} more are needed to tell what people would give"
    if without := [name for name, scores in statements.items() if not scores.people]:
        named = ", ".join(without[:NAMED]) + (f" and {len(without) - NAMED} more" if without[NAMED:] else "")
        yield f"no labels of the sample: {named}; {FEWEST} of each are needed to tell what people would give"


def _unusual(labels: Sequence[Label], counted: Sequence[Label], sample: Sample) -> Iterator[str]:
    if unused := len(labels) - len(counted):
        yield (
            f"{unused} of {len(labels)} labels correct nothing: a person chose them freely, or they are not of the "
            "random sample of these answers"
        )
    if earlier := sum(label.run != sample.run for label in counted):
        yield f"{earlier} labels are of an earlier state of this run: of answers that have come since, chance drew none"
