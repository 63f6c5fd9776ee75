"""What changed between two runs: the same lines, scored before and now."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flowkit.data.records import Row

RESAMPLES, SEED = 10_000, 0
METHOD = f"95 % interval: paired bootstrap, percentile method, {RESAMPLES} resamples, seed {SEED}"
FEWEST_PAIRS = 6  # five changes that all go the same way may still be chance: 2 of 32 times they do
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference that this many lines can show"


@dataclass(frozen=True)
class Difference:
    """How the scores of one statement changed: this run's minus the baseline's, over the lines scored in both.

    mean: None without pairs. ci95: of the mean, None with fewer than two pairs; a few equal differences give an
    interval of no width. verdict: "better" or "worse" where at least six pairs are there and the interval leaves out 0.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    pairs: int
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """The differences by statement name, and how many lines had a partner in the other run."""

    differences: dict[str, Difference]
    paired: int
    without_partner: int
    baseline_without_partner: int
    method: str = METHOD

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain JSON values."""
        return asdict(self)


def compare(rows: Sequence[Row], baseline: Sequence[Row]) -> Comparison:
    """Compare the rows of a run with those of the run before it.

    Lines are partners when question, statements and history are the same; of several, the first with the first.
    """
    pairs = partners(rows, baseline)
    changes: dict[str, list[int]] = {}
    for now, before in pairs:
        for name in now.statements:
            scored_in_both = changes.setdefault(name, [])
            new, old = now.score(name), before.score(name)
            if new is not None and old is not None:
                scored_in_both.append(new - old)
    return Comparison(
        differences={name: _difference(each) for name, each in changes.items()},
        paired=len(pairs),
        without_partner=len(rows) - len(pairs),
        baseline_without_partner=len(baseline) - len(pairs),
    )


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


def _difference(changes: Sequence[int]) -> Difference:
    pairs = len(changes)
    mean = sum(changes) / pairs if pairs else None
    if pairs < 2:
        return Difference(mean, None, pairs, UNDECIDED)
    low, high = _ci95(changes)
    shown = BETTER if low > 0 else WORSE if high < 0 else UNDECIDED
    return Difference(mean, (low, high), pairs, shown if pairs >= FEWEST_PAIRS else UNDECIDED)


def _ci95(changes: Sequence[int]) -> tuple[float, float]:
    import numpy as np  # 0.1 s, and most runs compare nothing

    values, counts = np.unique(changes, return_counts=True)
    # How often each change is among n drawn with replacement is multinomial: the bootstrap, at 9 numbers a resample.
    drawn = np.random.default_rng(SEED).multinomial(len(changes), counts / len(changes), size=RESAMPLES)
    low, high = np.quantile(drawn @ values / len(changes), [0.025, 0.975])
    return float(low), float(high)
