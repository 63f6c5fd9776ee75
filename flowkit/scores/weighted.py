"""One score of a line out of several statements, each with its weight.

Scores on different scales have no common mean. So each counts as a share of its own scale, 0 for the lowest score and 1
for the highest. Of a line that lacks a score only the two ends are known: with the lowest, and with the highest in its
place.
"""

from __future__ import annotations

from collections import Counter

from flowkit.data.figures import WeightedMean
from flowkit.data.records import Row
from flowkit.scores.intervals import mean_interval

Ends = tuple[float, float]  # of a line's weighted score; equal where no score is missing
DIGITS = 3  # of a line's weighted score, so that those of millions of lines are a thousand counts


def ends_of(row: Row) -> Ends | None:
    """Return the weighted score of a row as its lowest and its highest value; None where no statement weighs."""
    weights = {name: rule.weight for name, rule in row.rules.items() if rule.weight}
    if not weights:
        return None
    low = high = 0.0
    for name, weight in weights.items():
        score, scale = row.score(name), row.scale(name)
        low += weight * scale.share(scale.lowest if score is None else score)
        high += weight * scale.share(scale.highest if score is None else score)
    total = sum(weights.values())
    return round(low / total, DIGITS), round(high / total, DIGITS)


def weighted_mean(seen: Counter[Ends]) -> WeightedMean | None:
    """Return the mean of the lines whose scores are all there; None without any line that weighs."""
    lines = seen.total()
    if not lines:
        return None
    known = {low: count for (low, high), count in seen.items() if low == high}
    scored = sum(known.values())
    return WeightedMean(
        mean=sum(score * count for score, count in known.items()) / scored if scored else None,
        scored=scored,
        unscored=lines - scored,
        lowest=sum(low * count for (low, _), count in seen.items()) / lines,
        highest=sum(high * count for (_, high), count in seen.items()) / lines,
        ci95=mean_interval(known, 0, 1),
    )
