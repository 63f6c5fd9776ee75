"""How far a judge can be trusted: its scores beside a person's, for the same answers and statements.

Sources: Cohen, "Weighted kappa", 1968; Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from statistics import correlation

from tabulate import tabulate

from flowkit.base.json_text import JsonObject
from flowkit.base.scale import SCORES
from flowkit.base.text import in_one_line, shown
from flowkit.data.labels import Label
from flowkit.data.records import Verdict
from flowkit.scores.intervals import share_interval

COLUMNS = 80
SHOWN = 3  # labels without a score, with what happened
RESAMPLES = 2_000
METHOD = (
    "95 % intervals: of the agreement Clopper and Pearson's; of kappa the percentiles of 2,000 seeded resamples of the "
    "labels, one more among them that agrees by chance only"
)


@dataclass(frozen=True)
class Agreement:
    """How well the judge agrees with the person in the labels of one statement's name: see `Calibration`."""

    labels: int
    scored: int
    exact: float | None
    exact_ci95: tuple[float, float] | None
    kappa: float | None
    kappa_ci95: tuple[float, float] | None
    best_constant: int | None
    constant_exact: float | None


@dataclass(frozen=True)
class Calibration:
    """How well the judge agrees with the person.

    unscored: why the judge gave no score, by line number. All figures are about the `scored` labels only.
    exact, within_one: shares; exact_ci95: a 95 % interval.
    kappa: Cohen's, with quadratic weights: 1 full agreement, 0 what chance would give; kappa_ci95: a 95 % interval.
    best_constant: the score that agrees most often when it is given always (the lower of two); constant_exact: how
        often; constant_kappa: 0, what a judge has to beat.
    length_correlation: Pearson's, of the judge's error (judge - person) with the answer's length in words: above 0
        the judge favours long answers.
    confusion: a row for each of the person's scores 1 to 5; columns: the judge's 1 to 5, then no score.
    undefined: why a figure is None, by its name. by_name: the same for each statement that labels name.
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
    exact_ci95: tuple[float, float] | None = None
    kappa_ci95: tuple[float, float] | None = None
    by_name: dict[str, Agreement] = field(default_factory=dict)

    def as_dict(self) -> JsonObject:
        """Return the same as plain JSON values."""
        return asdict(self)


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
        exact_ci95=share_interval(errors.count(0), len(scored)),
        kappa_ci95=None if "kappa" in undefined else kappa_interval(person, judged),
        by_name=_by_name(labels, verdicts, judge),
    )


def _by_name(labels: Sequence[Label], verdicts: Sequence[Verdict], judge: str) -> dict[str, Agreement]:
    """Measure the labels of each statement's name apart."""
    named: dict[str, tuple[list[Label], list[Verdict]]] = {}
    for label, verdict in zip(labels, verdicts, strict=True):
        if label.name is not None:
            own_labels, own_verdicts = named.setdefault(label.name, ([], []))
            own_labels.append(replace(label, name=None))
            own_verdicts.append(verdict)
    whole = {name: measure(*each, judge) for name, each in named.items()}
    return {
        name: Agreement(**{each.name: getattr(found, each.name) for each in fields(Agreement)})
        for name, found in whole.items()
    }


def print_calibration(calibration: Calibration) -> None:
    """Print it in 80 columns."""
    c = calibration
    print(f"a person's labels: {c.labels}; scored by the judge: {c.scored}; no score, left out: {len(c.unscored)}")
    for number, why in list(c.unscored.items())[:SHOWN]:
        print(f"  line {number}: {shown(why, 60)}")
    table = [
        ["exact agreement", _figure(c.exact), _range(c.exact_ci95), _figure(c.constant_exact)],
        ["within one", _figure(c.within_one), "", ""],
        ["kappa, quadratic weights", _figure(c.kappa), _range(c.kappa_ci95), _figure(c.constant_kappa)],
        ["correlation of judge - person with words", _figure(c.length_correlation), "", ""],
    ]
    headers = ["", "this judge", "95 %", f"always {c.best_constant or '-'}"]
    print(f"\n{tabulate(table, headers, disable_numparse=True, colalign=('left', 'right', 'right', 'right'))}\n")
    print(textwrap.fill(METHOD, COLUMNS) + "\n")
    if c.by_name:
        print_by_name(c.by_name)
    for name, why in c.undefined.items():
        print(f"no {name}: {why}")
    rows = [[f"person {score}", *counts] for score, counts in zip(SCORES, c.confusion, strict=True)]
    print(tabulate(rows, ["", *(f"judge {score}" for score in SCORES), "no score"]))
    print(f"judged by {c.judge}")


def print_by_name(by_name: Mapping[str, Agreement]) -> None:
    """Print the agreement of each statement in a row; the last column is what always the same score would agree."""
    table = [
        [
            *(in_one_line(name, 16), f"{each.scored} of {each.labels}", _figure(each.exact), _range(each.exact_ci95)),
            *(_figure(each.kappa), _range(each.kappa_ci95)),
            f"{each.best_constant}: {each.constant_exact:.2f}" if each.constant_exact is not None else "-",
        ]
        for name, each in by_name.items()
    ]
    headers = ["statement", "scored", "exact", "95 %", "kappa", "95 %", "always"]
    align = ["left", *["right"] * (len(headers) - 1)]
    print(f"{tabulate(table, headers, disable_numparse=True, colalign=align)}\n")


def kappa_interval(person: Sequence[int], judged: Sequence[int]) -> tuple[float, float]:
    """Return a 95 % interval of kappa with quadratic weights: percentiles of seeded resamples of the labels.

    The labels are resampled together with one more, spread over the scores as chance would agree. So ten labels that
    all agree do not make the interval a point.
    """
    import numpy as np  # comes with scikit-learn, and only this needs it

    scores = np.array(SCORES)
    seen = np.zeros((len(SCORES), len(SCORES)))
    for ours, theirs in zip(person, judged, strict=True):
        seen[ours - 1, theirs - 1] += 1
    by_chance = np.outer(seen.sum(1), seen.sum(0)) / len(person) ** 2
    chances = ((seen + by_chance) / (len(person) + 1)).ravel()
    drawn = np.random.default_rng(0).multinomial(len(person), chances, RESAMPLES).reshape(-1, *seen.shape)
    distance = (scores[:, None] - scores) ** 2
    expected = np.einsum("ri,rj,ij->r", drawn.sum(2), drawn.sum(1), distance) / len(person)
    observed = np.einsum("rij,ij->r", drawn, distance)
    kappas = 1 - observed[expected > 0] / expected[expected > 0]
    low, high = np.quantile(kappas, [0.025, 0.975])
    return float(low), float(high)


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


def _range(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else "{:.2f}-{:.2f}".format(*interval)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
