"""A run's figures beside what was asked of them: met, missed, or more than this many lines can tell."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal
from unicodedata import normalize

from flowkit.base.scale import FIVE, Scale, scale_named
from flowkit.base.text import shown
from flowkit.data.figures import Figures, Mean
from flowkit.scores.comparison import WORSE, Comparison, Difference, lines_needed

MARGIN = 0.25  # of a score from 1 to 5; a fall below that is taken for none
Outcome = Literal["met", "missed", "cannot tell"]


@dataclass(frozen=True)
class Threshold:
    """The lowest score that the statement `name` may have on average."""

    name: str
    at_least: float


@dataclass(frozen=True)
class Check:
    """One thing that was asked of a run.

    line: says in words whether it is met. tells: whether this many lines can tell. note: what the interval says.
    """

    name: str
    line: str
    met: bool
    tells: bool = True
    note: str = ""

    @property
    def outcome(self) -> Outcome:
        """Met, missed or neither."""
        return "met" if self.met else "missed" if self.tells else "cannot tell"


@dataclass(frozen=True)
class Gate:
    """All that was asked of a run."""

    checks: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        """Say whether everything is met."""
        return all(check.met for check in self.checks)

    @property
    def missed(self) -> bool:
        """Say whether anything is missed for sure."""
        return any(check.outcome == "missed" for check in self.checks)

    @property
    def lines(self) -> list[str]:
        """Return a line for each check, then the outcome of all."""
        met = sum(check.met for check in self.checks)
        outcome = "passed" if self.passed else "missed" if self.missed else "cannot tell"
        return [*(check.line for check in self.checks), f"gate {outcome}: {met} of {len(self.checks)} met"]

    @property
    def notes(self) -> list[str]:
        """Return what the intervals say of the checks, a line each."""
        return [check.note for check in self.checks if check.note]


def parse_thresholds(
    texts: Iterable[str], known: Collection[str], scales: Mapping[str, Scale] = MappingProxyType({})
) -> list[Threshold]:
    """Read texts such as "correctness=4". Raises ValueError for a bad one.

    known: the names of the statements. A name may have a "=" itself: the last one counts. scales: of the statements;
    from 1 to 5 where none is given.
    """
    return [_parse(text, known, scales) for text in texts]


def check_gate(
    figures: Figures,
    thresholds: Iterable[Threshold],
    comparison: Comparison | None = None,
    missing: Literal["skip", "worst"] = "skip",
    *,
    margin: float = MARGIN,
    sure: bool = False,
) -> Gate:
    """Hold the figures of a run against the thresholds.

    comparison: with a baseline, to be no worse than it in any statement; margin: a smaller fall is none, from 1 to 5;
    on another scale it is as large a part of that.
    missing: "worst" counts every missing score as the lowest, "skip" leaves it out. Where nothing is scored, nothing is
    met.
    sure: the whole 95 % interval has to lie above a threshold, and not the mean alone.
    """
    kind, word = {"skip": ("mean", ""), "worst": ("lowest", "at worst ")}[missing]
    checks = [_against_threshold(figures, threshold, kind, word, sure) for threshold in thresholds]
    return Gate((*checks, *(_against_baseline(comparison, margin) if comparison else ())))


def _parse(text: str, known: Collection[str], scales: Mapping[str, Scale]) -> Threshold:
    name, equals, number = text.rpartition("=")
    if not equals:
        raise ValueError(f"expected NAME=X such as correctness=4, got {shown(text)}")
    if name not in known:  # macOS writes a letter and its accent apart
        name = next((each for each in known if normalize("NFC", each) == normalize("NFC", name)), name)
    if name not in known:
        raise ValueError(f"no statement is called {shown(name)}; known are {', '.join(map(shown, known)) or 'none'}")
    scale = scales.get(name, FIVE)
    try:
        at_least = float(number)
    except ValueError:
        at_least = math.nan
    if not scale.lowest <= at_least <= scale.highest:
        expected = f"a number from {scale.lowest} to {scale.highest}"
        raise ValueError(f"{shown(name)}: expected {expected}, got {shown(number)}")
    return Threshold(name, at_least)


def _against_threshold(figures: Figures, threshold: Threshold, kind: str, word: str, sure: bool) -> Check:
    name, asked = threshold.name, f"at least {str(threshold.at_least).removesuffix('.0')}"
    mean = figures.statements.get(name)
    scored, unscored = (mean.scored, mean.unscored) if mean else (0, 0)
    met, tells, reached, note = False, True, "no score", ""
    if mean and (value := getattr(mean, kind)) is not None and scored:
        met, reached = value >= threshold.at_least, word + _rounded(value, threshold.at_least)
        agrees, note = _interval_agrees(mean, threshold, met)
        if sure:
            met, tells = met and agrees, agrees
    found = f"{name}: {reached} of {asked}, {scored} of {scored + unscored} lines scored"
    return _check(f"{name} {asked}", found, met, tells, note)


def _interval_agrees(mean: Mean, threshold: Threshold, met: bool) -> tuple[bool, str]:
    """Say whether the whole interval lies on the same side of the threshold as the mean, and put it in words."""
    low, high = mean.ci95 or (-math.inf, math.inf)
    agrees = low >= threshold.at_least if met else high < threshold.at_least
    said = f"{threshold.name}: the 95 % interval is {low:.2f} to {high:.2f}"
    if agrees:
        return True, f"{said}: it agrees"
    middle = mean.mean or 0.0
    distance, reach = abs(middle - threshold.at_least), (middle - low if met else high - middle)
    more = f"; some {math.ceil(mean.scored * (reach / distance) ** 2):,} lines could tell" if distance > 1e-6 else ""
    return False, f"{said}: {mean.scored} lines cannot tell{more}"


def _against_baseline(comparison: Comparison, margin: float) -> list[Check]:
    checks = []
    for name, difference in comparison.differences.items():
        met, tells, found = _no_worse(difference, margin * scale_named(difference.scale).width / FIVE.width)
        line = f"{name}: {found}, {difference.pairs} pairs"
        checks.append(_check(f"{name} no worse than the baseline", line, met, tells))
    return checks or [_check("no worse than the baseline", "no statement of any line is in the baseline too", False)]


def _no_worse(difference: Difference, margin: float) -> tuple[bool, bool, str]:
    """Return whether a statement is no worse by `margin`, whether that can be told, and what was found."""
    if difference.mean is None:
        return False, True, "nothing to compare with the baseline"
    if difference.verdict == WORSE:
        return False, True, f"worse than the baseline by {-difference.mean:.2f}"
    low, high = difference.ci95 or (-math.inf, math.inf)
    if low > -margin:
        return True, True, f"no worse than the baseline by {margin:g}"
    said = f", 95 % interval {low:+.2f} to {high:+.2f}" if difference.ci95 else ""
    needed = lines_needed(difference, margin)
    return False, False, f"change {difference.mean:+.2f}{said}; some {needed:,} pairs could tell"


def _check(name: str, found: str, met: bool, tells: bool = True, note: str = "") -> Check:
    outcome = "met" if met else "missed" if tells else "cannot tell"
    return Check(name, f"{' '.join(found.split())}: {outcome}", met, tells, " ".join(note.split()))


def _rounded(value: float, at_least: float) -> str:
    """Write `value` with two digits, or as many more as it takes to stay on its side: 3.996 is not 4.00."""
    digits = next(d for d in range(2, 18) if (round(value, d) >= at_least) == (value >= at_least))
    return f"{value:.{digits}f}"
