"""Means that carry their counts: what the scores of many lines say, and how much the unscored ones could change."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from flowkit.base.scale import FIVE, Scale, scale_named
from flowkit.data.figures import Mean, flat_means
from flowkit.scores.intervals import mean_interval, share_interval


@dataclass(frozen=True)
class Tally:
    """How often each score was given. Tallies of shards add up to the tally of the whole, exactly and in any order.

    counts: of each score of the scale, the lowest first.
    """

    counts: tuple[int, ...] = (0,) * len(FIVE.scores)
    unscored: int = 0
    scale: Scale = FIVE

    @classmethod
    def of(cls, scores: Iterable[object], scale: Scale = FIVE) -> "Tally":
        """Count the scores; whatever is not on the scale is unscored."""
        seen = Counter(map(scale.as_score, scores))
        return cls(tuple(seen[score] for score in scale.scores), seen[None], scale)

    def __add__(self, other: "Tally") -> "Tally":
        counts = tuple(mine + others for mine, others in zip(self.counts, other.counts, strict=True))
        return Tally(counts, self.unscored + other.unscored, self.scale)

    def mean(self) -> Mean:
        scale, scored = self.scale, sum(self.counts)
        lines = scored + self.unscored
        seen: dict[float, int] = dict(zip(scale.scores, self.counts, strict=True))
        total = sum(score * count for score, count in seen.items())
        passed = sum(count for score, count in seen.items() if score >= scale.pass_mark)
        return Mean(
            mean=total / scored if scored else None,
            scored=scored,
            unscored=self.unscored,
            share_4_up=passed / scored if scored else None,
            lowest=(total + scale.lowest * self.unscored) / lines if lines else None,
            highest=(total + scale.highest * self.unscored) / lines if lines else None,
            ci95=mean_interval(seen, scale.lowest, scale.highest),
            share_ci95=share_interval(passed, scored),
            scale=scale.name,
        )


def mean_of(scores: Iterable[int | None]) -> Mean:
    return Tally.of(scores).mean()


def tallies(line_results: Iterable[Mapping[str, object]], failed: Iterable[Collection[str]] = ()) -> dict[str, Tally]:
    """Tally each statement of the judged lines, in order of first appearance.

    line_results: per line {statement: {"score": 1..5 or None, ...}}, or of a verdict's own "scale"; anything else in
        place of the inner mapping is unscored. A line without a statement does not count for it.
    failed: the statements of each line that failed before it was judged; unscored, too.
    """
    scores, scales = defaultdict[str, list[object]](list), dict[str, Scale]()
    for position, line in enumerate(line_results):
        if not isinstance(line, Mapping):
            kind = type(line).__name__
            raise TypeError(f"line_results[{position}] must be an object of statement to verdict, got {kind}")
        for name, result in line.items():
            verdict = result if isinstance(result, Mapping) else {}
            scores[name].append(verdict.get("score"))
            if scale := verdict.get("scale"):
                scales[name] = scale_named(str(scale))
    for names in failed:
        for name in names:
            scores[name].append(None)
    return {name: Tally.of(given, scales.get(name, FIVE)) for name, given in scores.items()}


def merged(shards: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    """Add up the tallies of shards, statement by statement."""
    whole = dict[str, Tally]()
    for shard in shards:
        for name, tally in shard.items():
            whole[name] = whole[name] + tally if name in whole else tally
    return whole


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
