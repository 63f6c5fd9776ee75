"""Means that carry their counts: what the scores of many lines say, and how much the unscored ones could change."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from flowkit.base.scale import SCORES, as_score
from flowkit.data.figures import Mean, flat_means


@dataclass(frozen=True)
class Tally:
    """How often each score was given. Tallies of shards add up to the tally of the whole, exactly and in any order.

    counts: of the scores 1, 2, 3, 4 and 5.
    """

    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    unscored: int = 0

    @classmethod
    def of(cls, scores: Iterable[object]) -> "Tally":
        """Count the scores; whatever is not an integer from 1 to 5 is unscored."""
        seen = Counter(map(as_score, scores))
        return cls((seen[1], seen[2], seen[3], seen[4], seen[5]), seen[None])

    def __add__(self, other: "Tally") -> "Tally":
        a, b, c, d, e = map(int.__add__, self.counts, other.counts)
        return Tally((a, b, c, d, e), self.unscored + other.unscored)

    def mean(self) -> Mean:
        scored = sum(self.counts)
        lines = scored + self.unscored
        total = sum(score * count for score, count in zip(SCORES, self.counts, strict=True))
        return Mean(
            mean=total / scored if scored else None,
            scored=scored,
            unscored=self.unscored,
            share_4_up=sum(self.counts[3:]) / scored if scored else None,
            lowest=(total + self.unscored) / lines if lines else None,
            highest=(total + 5 * self.unscored) / lines if lines else None,
            ci95=self._ci95(scored, total) if scored >= 2 else None,
        )

    def _ci95(self, scored: int, total: int) -> tuple[float, float]:
        squares = sum(score**2 * count for score, count in zip(SCORES, self.counts, strict=True))
        # The variance in whole numbers, so nothing cancels: equal scores give exactly 0.
        standard_error = math.sqrt((scored * squares - total**2) / (scored**2 * (scored - 1)))
        margin = t_quantile_975(scored - 1) * standard_error
        return total / scored - margin, total / scored + margin


def mean_of(scores: Iterable[int | None]) -> Mean:
    return Tally.of(scores).mean()


def tallies(line_results: Iterable[Mapping[str, object]], failed: Iterable[Collection[str]] = ()) -> dict[str, Tally]:
    """Tally each statement of the judged lines, in order of first appearance.

    line_results: per line {statement: {"score": 1..5 or None, ...}}; anything else in place of the inner mapping is
        unscored. A line without a statement does not count for it.
    failed: the statements of each line that failed before it was judged; unscored, too.
    """
    scores: defaultdict[str, list[object]] = defaultdict(list)
    for line in line_results:
        for name, result in line.items():
            scores[name].append(result.get("score") if isinstance(result, Mapping) else None)
    for names in failed:
        for name in names:
            scores[name].append(None)
    return {name: Tally.of(given) for name, given in scores.items()}


def merged(shards: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    """Add up the tallies of shards, statement by statement."""
    whole: defaultdict[str, Tally] = defaultdict(Tally)
    for shard in shards:
        for name, tally in shard.items():
            whole[name] += tally
    return dict(whole)


def per_statement(
    line_results: Iterable[Mapping[str, object]], failed: Iterable[Collection[str]] = ()
) -> dict[str, Mean]:
    """Return the mean of each statement; see `tallies` for the arguments."""
    return {name: tally.mean() for name, tally in tallies(line_results, failed).items()}


def summary(
    line_results: Collection[Mapping[str, object]], failed: Iterable[Collection[str]] = ()
) -> dict[str, float | int]:
    """Return the metrics of a run; `total` counts the judged lines, as in the tutorial."""
    return flat(tallies(line_results, failed), total=len(line_results))


def flat(by_statement: Mapping[str, Tally], *, total: int) -> dict[str, float | int]:
    """Lay the means out as `flat_means` does, with `total`, with which no statement's key begins."""
    return {**flat_means({name: tally.mean() for name, tally in by_statement.items()}), "total": total}


@lru_cache
def t_quantile_975(df: int) -> float:
    """Return the 0.975 quantile of Student's t with `df` >= 1 degrees of freedom, to 12 digits.

    With t = sqrt(df) * sinh(v / sqrt(df)) the density becomes cosh(v / sqrt(df)) ** -df, smooth and vanishing fast
    for every df. Its whole area is a trapezoid sum (exponentially exact: Trefethen and Weideman, SIAM Review 56,
    2014); the v that holds 95% of it is found by Newton's method with Simpson's rule. From 0 the steps never
    overshoot, as the density falls.
    """
    root, steps, width = math.sqrt(df), 1000, 1 / 8

    def density(v: float) -> float:
        return math.exp(-df / 2 * math.log1p(math.sinh(v / root) ** 2))

    def area(v: float) -> float:
        inner = sum((4 if k % 2 else 2) * density(v * k / steps) for k in range(1, steps))
        return (density(0) + inner + density(v)) * v / steps / 3

    wanted = 0.95 * width * (density(0) / 2 + sum(density(k * width) for k in range(1, 321)))
    v = 0.0
    for _ in range(9):  # 8 at df = 1, 6 at large df
        v += (wanted - area(v)) / density(v)
    return root * math.sinh(v / root)
