"""Means that carry their counts: what the scores of many lines say, and how much the unscored ones could change."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from flowkit.base.scale import PASS_MARK, SCORES, as_score
from flowkit.data.figures import Mean, flat_means
from flowkit.scores.intervals import mean_interval, share_interval


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
            share_4_up=sum(self.counts[PASS_MARK - 1 :]) / scored if scored else None,
            lowest=(total + self.unscored) / lines if lines else None,
            highest=(total + 5 * self.unscored) / lines if lines else None,
            ci95=mean_interval(dict(zip(SCORES, self.counts, strict=True)), SCORES[0], SCORES[-1]),
            share_ci95=share_interval(sum(self.counts[PASS_MARK - 1 :]), scored),
        )


def mean_of(scores: Iterable[int | None]) -> Mean:
    return Tally.of(scores).mean()


def tallies(line_results: Iterable[Mapping[str, object]], failed: Iterable[Collection[str]] = ()) -> dict[str, Tally]:
    """Tally each statement of the judged lines, in order of first appearance.

    line_results: per line {statement: {"score": 1..5 or None, ...}}; anything else in place of the inner mapping is
        unscored. A line without a statement does not count for it.
    failed: the statements of each line that failed before it was judged; unscored, too.
    """
    scores: defaultdict[str, list[object]] = defaultdict(list)
    for position, line in enumerate(line_results):
        if not isinstance(line, Mapping):
            kind = type(line).__name__
            raise TypeError(f"line_results[{position}] must be an object of statement to verdict, got {kind}")
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
