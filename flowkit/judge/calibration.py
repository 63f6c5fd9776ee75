"""How far a judge can be trusted: its scores beside a person's, for the same answers and statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import correlation

from tabulate import tabulate

from flowkit.base.json_text import JsonObject
from flowkit.base.scale import SCORES
from flowkit.base.text import check_text, shown
from flowkit.data.lines import read_objects
from flowkit.data.records import Verdict

EXAMPLE = '{"answer": "Paris.", "statement": "It names the capital of France.", "score": 5}'
SHOWN = 3  # labels without a score, with what happened


@dataclass(frozen=True)
class Label:
    """What a person thinks: how well a statement applies to an answer, 1 to 5. number: the line of the file."""

    number: int
    answer: str
    statement: str
    score: int


@dataclass(frozen=True)
class Calibration:
    """How well the judge agrees with the person.

    unscored: why the judge gave no score, by line number. All figures are about the `scored` labels only.
    exact, within_one: shares. kappa: Cohen's, with quadratic weights: 1 full agreement, 0 what chance would give.
    best_constant: the score that agrees most often when it is given always (the lower of two); constant_exact: how
        often; constant_kappa: 0, what a judge has to beat.
    length_correlation: Pearson's, of the judge's error (judge - person) with the answer's length in words: above 0
        the judge favours long answers.
    confusion: a row for each of the person's scores 1 to 5; columns: the judge's 1 to 5, then no score.
    undefined: why a figure is None, by its name.
    """

    judge: str
    labels: int
    scored: int
    unscored: dict[int, str]
    exact: float | None
    within_one: float | None
    kappa: float | None
    best_constant: int | None
    constant_exact: float | None
    constant_kappa: float | None
    length_correlation: float | None
    confusion: list[list[int]]
    undefined: dict[str, str]

    def as_dict(self) -> JsonObject:
        """Return the same as plain JSON values."""
        return asdict(self)


def read_labels(path: Path) -> list[Label]:
    """Return the labels of a JSONL file. Raises BadInputError for the first that cannot be used."""
    return read_objects(path, _label, EXAMPLE)


def measure(labels: Sequence[Label], verdicts: Sequence[Verdict], judge: str) -> Calibration:
    """Compare the labels with the verdicts on them, which come in the same order."""
    scores = [verdict.score for verdict in verdicts]
    scored = [(label, score) for label, score in zip(labels, scores, strict=True) if score is not None]
    person, judged = [label.score for label, _ in scored], [score for _, score in scored]
    errors = [score - label.score for label, score in scored]
    words = [len(label.answer.split()) for label, _ in scored]
    undefined = _undefined(person, judged, errors, words)
    best_constant, agreeing = max(sorted(Counter(person).items()), key=lambda each: each[1], default=(None, 0))
    confused = Counter(zip((label.score for label in labels), scores, strict=True))
    return Calibration(
        judge=judge,
        labels=len(labels),
        scored=len(scored),
        unscored={
            label.number: verdict.explanation
            for label, verdict in zip(labels, verdicts, strict=True)
            if verdict.score is None
        },
        exact=None if "exact" in undefined else errors.count(0) / len(scored),
        within_one=None if "within_one" in undefined else sum(abs(error) <= 1 for error in errors) / len(scored),
        kappa=None if "kappa" in undefined else _kappa(person, judged),
        best_constant=best_constant,
        constant_exact=agreeing / len(scored) if scored else None,
        constant_kappa=0.0 if len(set(person)) > 1 else None,
        length_correlation=None if "length_correlation" in undefined else correlation(errors, words),
        confusion=[[confused[ours, theirs] for theirs in (*SCORES, None)] for ours in SCORES],
        undefined=undefined,
    )


def print_calibration(calibration: Calibration) -> None:
    """Print it in 80 columns."""
    c = calibration
    print(f"a person's labels: {c.labels}; scored by the judge: {c.scored}; no score, left out: {len(c.unscored)}")
    for number, why in list(c.unscored.items())[:SHOWN]:
        print(f"  line {number}: {shown(why, 60)}")
    table = [
        ["exact agreement", _figure(c.exact), _figure(c.constant_exact)],
        ["within one", _figure(c.within_one), ""],
        ["kappa, quadratic weights", _figure(c.kappa), _figure(c.constant_kappa)],
        ["error (judge - person) with words: correlation", _figure(c.length_correlation), ""],
    ]
    headers = ["", "this judge", f"always {c.best_constant or '-'}"]
    print(f"\n{tabulate(table, headers, disable_numparse=True, colalign=('left', 'right', 'right'))}\n")
    for name, why in c.undefined.items():
        print(f"no {name}: {why}")
    rows = [[f"person {score}", *counts] for score, counts in zip(SCORES, c.confusion, strict=True)]
    print(tabulate(rows, ["", *(f"judge {score}" for score in SCORES), "no score"]))
    print(f"judged by {c.judge}")


def _label(number: int, fields: JsonObject) -> Label:
    if missing := [name for name in ("answer", "statement", "score") if name not in fields]:
        raise ValueError(f"{missing[0]!r} is missing; expected an object such as {EXAMPLE}")
    check_text(fields["answer"], "'answer'")
    check_text(fields["statement"], "'statement'")
    score = fields["score"]
    if type(score) is not int or score not in SCORES:
        raise ValueError(f"'score' must be a whole number from {SCORES[0]} to {SCORES[-1]}, got {shown(score)}")
    return Label(number, fields["answer"], fields["statement"], score)


def _undefined(person: list[int], judged: list[int], errors: list[int], words: list[int]) -> dict[str, str]:
    """Return why a figure cannot be computed, or would say nothing, by its name."""
    few = "" if len(person) > 1 else f"it takes two labels that the judge scored, not {len(person)}"
    nothing = "" if person else "the judge scored nothing"
    reasons = {
        "exact": nothing,
        "within_one": nothing,
        "kappa": few
        or _constant(person, "the person gave every answer the same score")
        or _constant(judged, "the judge gave every answer the same score"),
        "length_correlation": few
        or _constant(errors, "the judge is off by the same everywhere")
        or _constant(words, "every answer has the same number of words"),
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _constant(values: list[int], reason: str) -> str:
    return reason if len(set(values)) == 1 else ""


def _kappa(person: list[int], judged: list[int]) -> float:
    try:  # large, and only needed here
        from sklearn.metrics import cohen_kappa_score
    except ImportError:
        raise ValueError("calibration needs scikit-learn: pip install scikit-learn") from None

    # With the labels left out, scores that nobody gave would bring the others closer together.
    return float(cohen_kappa_score(person, judged, labels=list(SCORES), weights="quadratic"))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
