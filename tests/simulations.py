"""The simulations behind docs/statistics.md: `python -m tests.simulations` prints the tables, tests run a fast form."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from statistics import correlation as correlation_of

from flowkit.base.scale import SCORES
from flowkit.data.figures import HumanMean
from flowkit.scores.comparison import UNDECIDED, WORSE, differences_of
from flowkit.scores.correction import human_mean
from flowkit.scores.intervals import mean_interval

SHAPES = {
    "uniform": (0.2, 0.2, 0.2, 0.2, 0.2),
    "half fives": (0.125, 0.125, 0.125, 0.125, 0.5),
    "90 % fives": (0.025, 0.025, 0.025, 0.025, 0.9),
    "97 % fives": (0.0075, 0.0075, 0.0075, 0.0075, 0.97),
    "99 % fives": (0.0025, 0.0025, 0.0025, 0.0025, 0.99),
    "5 % ones, 95 % fives": (0.05, 0, 0, 0, 0.95),
    "two humps": (0.45, 0.05, 0, 0.05, 0.45),
    "bell": (0.05, 0.25, 0.4, 0.25, 0.05),
}
SIZES = (2, 3, 6, 10, 30, 100, 300)
T_HANDLES = ("uniform", "half fives", "two humps", "bell")  # at 100 scores and more
COMPARED_SIZES, STATEMENTS = (3, 6, 10, 30, 100), (1, 3, 10)
LINES, LABELS, TOO_KIND = 2000, (30, 50, 200), 0.5
CORRELATIONS = (0.0, 0.3, 0.7)  # of a judge's scores with people's

Counts = tuple[int, ...]  # of the scores 1, 2, 3, 4 and 5
Interval = Callable[[Counts], tuple[float, float] | None]


@cache
def ours(counts: Counts) -> tuple[float, float] | None:
    """Return the interval of this project."""
    return mean_interval(dict(zip(SCORES, counts, strict=True)), SCORES[0], SCORES[-1])


@cache
def students(counts: Counts) -> tuple[float, float] | None:
    """Return Student's t interval."""
    from scipy import stats  # slow to import

    n, scores = sum(counts), [score for score, count in zip(SCORES, counts, strict=True) for _ in range(count)]
    mean = sum(scores) / n
    error = (sum((score - mean) ** 2 for score in scores) / (n - 1) / n) ** 0.5
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    return mean - reach, mean + reach


@cache
def bootstrapped(counts: Counts) -> tuple[float, float] | None:
    """Return the percentile bootstrap's interval, of 2,000 resamples."""
    import numpy as np

    n = sum(counts)
    drawn = np.random.default_rng(0).multinomial(n, np.array(counts) / n, size=2000) @ np.array(SCORES) / n
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def coverage(shape: str, size: int, runs: int, interval: Interval, seed: int = 0) -> tuple[float, float]:
    """Return how often the interval holds the true mean of that shape, and how wide it is on average."""
    chance, weights = random.Random(f"{shape} {size} {seed}"), SHAPES[shape]
    true = sum(score * weight for score, weight in zip(SCORES, weights, strict=True))
    held, width = 0, 0.0
    for _ in range(runs):
        seen = Counter(chance.choices(SCORES, weights, k=size))
        low, high = interval(tuple(seen[score] for score in SCORES)) or (1, 5)
        held += low - 1e-6 <= true <= high + 1e-6
        width += high - low
    return held / runs, width / runs


def equal_flows_told_apart(pairs: int, statements: int, runs: int, seed: int = 0) -> float:
    """Return how often two runs of one flow, whose judge errs by one now and then, differ in some statement."""
    chance = random.Random(f"{pairs} {statements} {seed}")
    found = 0
    for _ in range(runs):
        changes = {str(each): [_noise(chance) for _ in range(pairs)] for each in range(statements)}
        found += any(each.verdict != UNDECIDED for each in differences_of(changes).values())
    return found / runs


def falls_found(pairs: int, fall: float, runs: int, seed: int = 0) -> float:
    """Return how often a true fall is found where 15 % of the scores move up by one and 15 % down besides."""
    chance = random.Random(f"{pairs} {fall} {seed}")
    found = 0
    for _ in range(runs):
        changes = [_moved(chance) - (chance.random() < fall) for _ in range(pairs)]
        found += differences_of({"a": changes})["a"].verdict == WORSE
    return found / runs


def judge_of(people: Sequence[int], correlation: float, chance: random.Random) -> list[int]:
    """Return the scores of a judge that is half a score kinder than people, as far as the scale allows.

    It gives a person's own score or another line's; so often that the two correlate as asked.
    """
    shuffled = chance.sample(people, len(people))
    raised = min(1.0, TOO_KIND * len(people) / sum(score < SCORES[-1] for score in people))
    kinder = [(chance.random(), chance.random() < raised) for _ in people]

    def judge(follows: float) -> list[int]:
        return [
            min(SCORES[-1], (own if draw < follows else other) + kind)
            for own, other, (draw, kind) in zip(people, shuffled, kinder, strict=True)
        ]

    low, high = 0.0, 1.0
    for _ in range(12 if correlation else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if correlation_of(people, judge(middle)) < correlation else (low, middle)
    return judge(high if correlation else 0.0)


def corrections(shape: str, correlation: float, labels: int, runs: int, seed: int = 0) -> tuple[float, float]:
    """Return how often the corrected interval holds people's mean, and its width, that of the labels alone being 1."""
    chance = random.Random(f"{shape} {correlation} {labels} {seed}")
    people = chance.choices(SCORES, SHAPES[shape], k=LINES)
    judged = judge_of(people, correlation, chance)
    true, held, width, alone = sum(people) / LINES, 0, 0.0, 0.0
    for _ in range(runs):
        lines = chance.sample(range(LINES), labels)
        given = [people[line] for line in lines]
        low, high = human_mean(given, [judged[line] for line in lines], judged).ci95
        held += low - 1e-9 <= true <= high + 1e-9
        width += high - low
        alone += _width(_labels_alone(tuple(sorted(given))))
    return held / runs, width / alone


@cache
def _labels_alone(labels: tuple[int, ...]) -> HumanMean:
    return human_mean(labels, [None] * len(labels), [None] * LINES)


def _width(human: HumanMean) -> float:
    return human.ci95[1] - human.ci95[0]


def _noise(chance: random.Random) -> int:
    """Return the change of a score between two runs: both moved from the same true score, and kept to the scale."""
    true = chance.choices(SCORES, SHAPES["half fives"])[0]
    before, now = (min(5, max(1, true + _moved(chance))) for _ in range(2))
    return now - before


def _moved(chance: random.Random) -> int:
    return chance.choices((1, -1, 0), (0.15, 0.15, 0.7))[0]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(runs: int = 4000) -> None:
    """Print the tables of docs/statistics.md."""
    ways: dict[str, Interval] = {"ours": ours, "Student's t": students, "bootstrap": bootstrapped}
    for name, interval in ways.items():
        rows = [
            [shape, *(f"{100 * coverage(shape, size, runs, interval)[0]:.1f}" for size in SIZES)] for shape in SHAPES
        ]
        print(f"\n{name}: % of {runs:,} runs whose 95 % interval holds the true mean, by the number of scores\n")
        print(table(["scores", *map(str, SIZES)], rows))
    rows = []
    for shape in T_HANDLES:
        widths = [[coverage(shape, size, runs, each)[1] for each in (ours, students)] for size in (100, 300)]
        rows.append([shape, *(f"{ours_width / t_width:.3f}" for ours_width, t_width in widths)])
    print("\nOur interval's width, Student's t being 1\n")
    print(table(["scores", "100", "300"], rows))
    found = [
        [str(pairs), *(f"{100 * equal_flows_told_apart(pairs, count, runs // 2):.2f}" for count in STATEMENTS)]
        for pairs in COMPARED_SIZES
    ]
    print(f"\n% of {runs // 2:,} comparisons of equal flows that name any statement, by pairs and statements\n")
    print(table(["pairs", *(f"{count} statement{'s' * (count > 1)}" for count in STATEMENTS)], found))
    power = 100 * falls_found(100, 0.25, runs // 2)
    print(f"\nA true fall of 0.25 at 100 pairs is found in {power:.1f} % of the runs.")
    print_corrections(runs // 2)


def print_corrections(runs: int = 2000) -> None:
    """Print the tables of people's means, of labels on a few of 2,000 lines."""
    found = {
        (shape, each): [corrections(shape, each, labels, runs) for labels in LABELS]
        for shape in SHAPES
        for each in CORRELATIONS
    }
    header = ["people's scores", "correlation", *(f"{labels} labels" for labels in LABELS)]
    for what, at, scale in (("% of {:,} runs whose interval holds people's mean", 0, 100), ("Width", 1, 1)):
        digits = 1 if scale > 1 else 3
        rows = [
            [shape, f"{each}", *(f"{scale * cell[at]:.{digits}f}" for cell in cells)]
            for (shape, each), cells in found.items()
        ]
        more = "" if scale > 1 else ", that of the labels alone being 1"
        print(f"\nPeople's mean of {LINES:,} lines, a judge {TOO_KIND} too kind. {what.format(runs)}{more}\n")
        print(table(header, rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
