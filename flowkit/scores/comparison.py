"""What changed between two runs: the same lines, scored before and now."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from flowkit.base.scale import FIVE, Scale, scale_named
from flowkit.data.records import Row, plain
from flowkit.scores.intervals import mean_interval
from flowkit.scores.sign_flip import holm, p_value

FAMILY_ERROR = 0.05  # how often equal runs may be told apart, whatever the number of statements
Z_FOR_80_PERCENT = 0.8416  # of the normal distribution: a change that large is found four times in five
METHOD = (
    "better, worse: exact sign-flip test of the paired changes, Holm's correction over the statements, 5 % in all; "
    "95 % interval of the mean change: Gaffke's, within the scale"
)
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference that this many lines can show"


@dataclass(frozen=True)
class Difference:
    """How the scores of one statement changed: this run's minus the baseline's, over the lines scored in both.

    mean: None without pairs. ci95: of the mean, within the scale's width, [-4, 4] for 1 to 5; None with fewer than two
        pairs.
    p: of the exact sign-flip test, times Holm's factor for the number of statements; None without pairs.
    shows: the smallest change that this many pairs, spread as they are, show four times in five; None without pairs.
    verdict: "better" or "worse" where p is at most 0.05.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    pairs: int
    verdict: str
    p: float | None = None
    shows: float | None = None
    scale: str = FIVE.name


@dataclass(frozen=True)
class Comparison:
    """The differences by statement name, and how many lines had a partner in the other run."""

    differences: dict[str, Difference]
    paired: int
    without_partner: int
    baseline_without_partner: int
    method: str = METHOD

    def as_dict(self) -> Any:
        """Return the same as plain JSON values."""
        return plain(self)


def compare(rows: Sequence[Row], baseline: Sequence[Row]) -> Comparison:
    """Compare the rows of a run with those of the run before it.

    Lines are partners when question, statements and history are the same; of several, the first with the first.
    """
    pairs = partners(rows, baseline)
    changes, scales = dict[str, list[int]](), dict[str, Scale]()
    for now, before in pairs:
        for name in now.statements:
            scored_in_both, scale = changes.setdefault(name, []), scales.setdefault(name, now.scale(name))
            new, old = now.score(name), before.score(name)
            if new is not None and old is not None and now.scale(name) is before.scale(name) is scale:
                scored_in_both.append(new - old)
    return Comparison(
        differences=differences_of(changes, scales),
        paired=len(pairs),
        without_partner=len(rows) - len(pairs),
        baseline_without_partner=len(baseline) - len(pairs),
    )


def differences_of(
    changes: Mapping[str, Sequence[int]], scales: Mapping[str, Scale] = MappingProxyType({})
) -> dict[str, Difference]:
    """Return the difference of each statement, given its changes of score; all are held to one family-wise error.

    scales: of the statements; from 1 to 5 where none is given.
    """
    found = {name: _difference(each, len(changes), scales.get(name, FIVE)) for name, each in changes.items()}
    tested = {name: each.p for name, each in found.items() if each.p is not None}
    for name, p in holm(tested).items():
        mean = found[name].mean or 0
        verdict = UNDECIDED if p > FAMILY_ERROR else BETTER if mean > 0 else WORSE
        found[name] = replace(found[name], p=p, verdict=verdict)
    return found


def partners(rows: Sequence[Row], baseline: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return the pairs of rows, this run's first, that ask the same."""
    # A row that a former version wrote has no history: then history tells no lines apart.
    told_apart_by = ["question", "statements"]
    if all(row.chat_history is not None for row in (*rows, *baseline)):
        told_apart_by.append("chat_history")

    def content(row: Row) -> str:
        return json.dumps([getattr(row, name) for name in told_apart_by], sort_keys=True)

    waiting: defaultdict[str, deque[Row]] = defaultdict(deque)
    for row in baseline:
        waiting[content(row)].append(row)
    return [(row, partners.popleft()) for row in rows if (partners := waiting[content(row)])]


def lines_needed(difference: Difference, margin: float) -> int:
    """Return how many pairs it would take to show that the mean change lies above -margin.

    That many as `shows` asks for, were the true change 0, or half the margin where the mean is worse than that.
    """
    if not difference.pairs or difference.shows is None:
        return math.ceil((scale_named(difference.scale).width / margin) ** 2)
    room = max(margin + min(difference.mean or 0, 0), margin / 2)
    return max(difference.pairs + 1, math.ceil(difference.pairs * (difference.shows / room) ** 2))


def _difference(changes: Sequence[int], statements: int, scale: Scale) -> Difference:
    pairs, width = len(changes), scale.width
    if not pairs:
        return Difference(None, None, 0, UNDECIDED, scale=scale.name)
    mean = sum(changes) / pairs
    interval = mean_interval(Counter(changes), -width, width) if pairs > 1 else None
    shows = min(_shows(changes, mean, statements), float(width))
    return Difference(mean, interval, pairs, UNDECIDED, p_value(changes), shows, scale.name)


def _shows(changes: Sequence[int], mean: float, statements: int) -> float:
    """Return the change found with 80 % probability at Holm's first step; one more change by 1 keeps it above 0."""
    from statistics import NormalDist

    spread = math.sqrt((sum((change - mean) ** 2 for change in changes) + 1) / len(changes))
    z = NormalDist().inv_cdf(1 - FAMILY_ERROR / 2 / max(statements, 1)) + Z_FOR_80_PERCENT
    return z * spread / math.sqrt(len(changes))
