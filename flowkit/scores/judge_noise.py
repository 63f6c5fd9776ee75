"""How much of a run's figures is the judge's own noise: two levels of variance, lines and votes on a line.

The variance of the scores over lines has two parts: lines differ, and the same judge, asked again, would give another
median. The second is estimated for each verdict from its own votes: the variance of the median of as many votes drawn
from them, times m/(m-1), for m votes lie closer to their own mean than to the judge's. That is an approximation: of
a judge that tosses a coin between two scores, three votes tell 86 % of the noise.
Source: Searle, Casella and McCulloch, "Variance components", 1992, chapter 3 (one-way random model).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType

from flowkit.base.scale import FIVE, Scale
from flowkit.data.figures import JudgeNoise
from flowkit.data.records import Verdict

Votes = Counter[str]  # how often each pattern of votes was seen, such as "345"


def pattern(verdict: Verdict | None) -> str | None:
    """Return the scores of the votes in order, such as "345"; None where there are fewer than two."""
    given = sorted(vote for vote in (verdict.votes if verdict else None) or () if vote is not None)
    return "".join(map(str, given)) if len(given) > 1 else None


def noise_of(statements: Mapping[str, Votes], scales: Mapping[str, Scale] = MappingProxyType({})) -> JudgeNoise | None:
    """Return what the votes of all statements say together; None without any. Each statement has lines of its own.

    scales: of the statements; from 1 to 5 where none is given. Variances count as shares of the scale's width.
    """
    scale = {name: scales.get(name, FIVE) for name in statements}
    verdicts = sum(votes.total() for votes in statements.values())
    if not verdicts:
        return None
    flipped = sum(
        count for name, votes in statements.items() for each, count in votes.items() if _flips(each, scale[name])
    )
    varied = [(votes, scale[name].width ** 2) for name, votes in statements.items() if votes.total() > 1]
    within = sum(count * _variance_of_median(each) / unit for votes, unit in varied for each, count in votes.items())
    over_lines = sum(_variance_of(votes) * votes.total() / unit for votes, unit in varied)
    return JudgeNoise(verdicts, flipped, min(within / over_lines, 1.0) if over_lines else None)


def told(noise: JudgeNoise) -> Iterable[str]:
    """Say it in a sentence."""
    said = (
        f"judge noise: in {noise.flipped} of {noise.verdicts} verdicts ({100 * noise.flipped / noise.verdicts:.0f} %) "
        f"a vote lies on the other side of {FIVE.pass_mark} (or of pass) than the median"
    )
    if noise.share is not None:
        narrower = 1 - math.sqrt(1 - noise.share)
        said += (
            f", and {100 * noise.share:.0f} % of the variance behind the intervals comes from the judge, the rest from "
            f"the lines: without judge noise the intervals would be {100 * narrower:.0f} % narrower"
        )
    yield said


def _flips(votes: str, scale: Scale) -> bool:
    return votes[0] < str(scale.pass_mark) <= votes[-1]


def _median(votes: str) -> int:
    return int(votes[(len(votes) - 1) // 2])  # the lower middle, as for verdicts


def _variance_of(votes: Votes) -> float:
    """Return the variance of the medians over the lines, two at least."""
    lines = votes.total()
    mean = sum(count * _median(each) for each, count in votes.items()) / lines
    return sum(count * (_median(each) - mean) ** 2 for each, count in votes.items()) / (lines - 1)


@lru_cache(maxsize=512)
def _variance_of_median(votes: str) -> float:
    """Return the variance of the median of as many votes, drawn from these with replacement, times m/(m-1)."""
    m, middle = len(votes), (len(votes) + 1) // 2
    scores = range(int(votes[0]), int(votes[-1]) + 1)
    shares = accumulate(votes.count(str(score)) / m for score in scores)
    at_most = [sum(math.comb(m, k) * p**k * (1 - p) ** (m - k) for k in range(middle, m + 1)) for p in shares]
    chances = [now - before for now, before in zip(at_most, [0.0, *at_most], strict=False)]
    mean = sum(score * chance for score, chance in zip(scores, chances, strict=True))
    squares = sum((score - mean) ** 2 * chance for score, chance in zip(scores, chances, strict=True))
    return squares * m / (m - 1)
