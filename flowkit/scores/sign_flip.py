"""The exact test of paired changes: were the sign of each change a coin's toss, how often would they add up to as much?

It assumes nothing but that, without a real difference, a change is as likely as its opposite. Scores are whole
numbers, so the distribution of the sum is computed whole, for any number of pairs; nothing is drawn.
Sources: Fisher, "The design of experiments", 1935; Holm, "A simple sequentially rejective multiple test procedure",
1979.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

EXACT_TO = 2_000  # changes; from there on the distribution of the sum is normal in all digits that matter


def p_value(changes: Sequence[int]) -> float:
    """Return the two-sided p-value: the probability of a sum that is as far from 0 as that of `changes`."""
    sizes = Counter(abs(change) for change in changes if change)
    sum_seen = abs(sum(changes))
    if not sum_seen:
        return 1.0
    if sizes.total() > EXACT_TO:
        deviation = math.sqrt(sum(size**2 * count for size, count in sizes.items()))
        half_a_step = math.gcd(*sizes)  # all sums differ by multiples of twice that
        return math.erfc((sum_seen - half_a_step) / deviation / math.sqrt(2))
    chances = {0: 1.0}
    for size, count in sizes.items():
        chances = _added(chances, size, count)
    return min(1.0, sum(chance for total, chance in chances.items() if abs(total) >= sum_seen))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values with Holm's correction: the probability of any false finding stays below the level."""
    corrected: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - rank)))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def _added(chances: Mapping[int, float], size: int, count: int) -> dict[int, float]:
    """Return the distribution of the sum once `count` changes of that size, up or down, are added."""
    steps = {
        size * (2 * ups - count): math.exp(_log_binomial(count, ups) - count * math.log(2)) for ups in range(count + 1)
    }
    steps = {step: chance for step, chance in steps.items() if chance > 1e-18}
    added: dict[int, float] = {}
    for total, chance in chances.items():
        for step, other in steps.items():
            added[total + step] = added.get(total + step, 0.0) + chance * other
    return added


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
