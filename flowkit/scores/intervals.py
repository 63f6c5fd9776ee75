"""Intervals that hold: of the mean of scores on a bounded scale, from the counts of the scores alone.

The bound below the mean is a quantile of the mean when the scores, and one more score at the lowest end of the scale,
get random weights from a Dirichlet distribution; the bound above likewise, with one more at the highest end. It needs
no normal distribution and holds from one score on. Of a share it is the interval of Clopper and Pearson.
Sources: Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable", 2005; Learned-Miller and Thomas, "A new confidence interval for the mean of a bounded random variable", 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

LEVEL = 0.95
STEP = 0.125  # of the trapezoid rule; half of it changes no result by more than TOLERANCE
START = 1e-4  # of the scale on which the integrand varies; its sine is its angle there
ENOUGH_DAMPING = 23.0  # exp(-23) is 1e-10: what follows adds nothing
TOLERANCE = 1e-7
FARTHEST_SD = 6.3  # at most 1 in 40 lies farther from any mean (Cantelli's inequality)


def mean_interval(counts: Mapping[float, int], lowest: float, highest: float) -> tuple[float, float] | None:
    """Return a 95 % interval of the mean; None without any score.

    counts: how often each value was seen. lowest, highest: the ends of the scale; the interval never leaves them.
    """
    seen = tuple(sorted((value, count) for value, count in counts.items() if count))
    if not seen:
        return None
    tail = (1 - LEVEL) / 2
    low, high = (_quantile(_with_one_more(seen, end), at) for end, at in ((lowest, tail), (highest, 1 - tail)))
    return max(low, lowest), min(high, highest)


def share_interval(hits: int, total: int) -> tuple[float, float] | None:
    """Return a 95 % interval of the share of hits (Clopper and Pearson); None of nothing."""
    return mean_interval({0: total - hits, 1: hits}, 0, 1)


Weights = tuple[tuple[float, int], ...]  # values with the parameters of a Dirichlet distribution


def _with_one_more(seen: Weights, value: float) -> Weights:
    return tuple(sorted({**dict(seen), value: dict(seen).get(value, 0) + 1}.items()))


@lru_cache(maxsize=4096)
def _quantile(weights: Weights, probability: float) -> float:
    """Return the quantile of the weighted mean of the values, by regula falsi (Illinois): its distribution rises."""
    total = sum(count for _, count in weights)
    mean = sum(value * count for value, count in weights) / total
    variance = sum(count * (value - mean) ** 2 for value, count in weights) / total / (total + 1)
    if not variance:
        return mean
    low = max(weights[0][0], mean - FARTHEST_SD * math.sqrt(variance))
    high = min(weights[-1][0], mean + FARTHEST_SD * math.sqrt(variance))
    at_low, at_high, side = -probability, 1 - probability, 0
    while high - low > TOLERANCE:
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        found = _distribution(weights, middle) - probability
        if abs(found) < TOLERANCE:
            return middle
        if found < 0:
            low, at_low = middle, found
            at_high /= 2 if side < 0 else 1
            side = -1
        else:
            high, at_high = middle, found
            at_low /= 2 if side > 0 else 1
            side = 1
    return (low + high) / 2


def _distribution(weights: Weights, mean: float) -> float:
    """Return the probability that the weighted mean is at most `mean`.

    Dirichlet weights are gamma variables divided by their sum, so this is the probability that the sum of
    (value - mean) * gamma is at most 0: one integral (Imhof 1961), here over the logarithm of its variable, where the
    trapezoid rule converges exponentially.
    """
    terms = [(value - mean, count) for value, count in weights if value != mean]
    scale = 1 / math.sqrt(sum(count * factor**2 for factor, count in terms))
    at = scale * START
    total = _integrand(terms, at) / math.expm1(STEP)  # of all points before: the integrand is linear there
    while (damping := _damping(terms, at)) < ENOUGH_DAMPING:
        total += _integrand(terms, at, damping)
        at *= math.exp(STEP)
    return 0.5 - STEP * total / math.pi


def _integrand(terms: list[tuple[float, int]], at: float, damping: float = 0.0) -> float:
    return math.sin(sum(count * math.atan(factor * at) for factor, count in terms)) * math.exp(-damping)


def _damping(terms: list[tuple[float, int]], at: float) -> float:
    return sum(count * math.log1p((factor * at) ** 2) for factor, count in terms) / 2
