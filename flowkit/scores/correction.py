"""What people would have given on average, from the scores of a judge and a random sample of people's labels.

The judge scores all N lines, people n of them, drawn at random without replacement. With y a person's score, f the
judge's, and a weight w, the difference estimator of the mean of y over all lines is

    w * mean(f over all lines) + mean(y - w * f over the labels)

It is free of bias whatever the judge is like; the better the judge follows people, the less it varies. Its variance is
(1 - n/N) * var(y - w * f) / n. The weight that makes that smallest is cov(y, f) / var(f). This is the estimate of
prediction-powered inference, with its tuned weight, where the lines without a label are the unlabelled ones.
Sources: Särndal, Swensson and Wretman, "Model assisted survey sampling", 1992, chapter 6; Angelopoulos, Bates,
Fannjiang, Jordan and Zrnic, "Prediction-powered inference", 2023; Angelopoulos, Duchi and Zrnic, "PPI++", 2023.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist, fmean

from flowkit.base.scale import SCORES
from flowkit.data.figures import HumanMean
from flowkit.scores.intervals import LEVEL, mean_interval

Interval = tuple[float, float]
ENOUGH_THAT_DIFFER = 8  # from the most frequent value; with fewer, t intervals hold too rarely
MOST_WIDER = 1.03  # than of the labels alone; a judge that costs more is left out


def human_mean(labels: Sequence[float], judged: Sequence[float | None], everywhere: Sequence[int | None]) -> HumanMean:
    """Return the mean that people would have given over all lines.

    labels: people's scores of the sampled lines, at least one. judged: the judge's of the same lines, in the same
    order. everywhere: the judge's of all lines, these among them. A score that the judge did not give counts as the
    mean of those it gave.
    """
    given = [score for score in everywhere if score is not None]
    middle = fmean(given) if given else 0.0
    filled = [middle if score is None else score for score in judged]
    weight = tuned_weight(labels, filled, [middle if score is None else score for score in everywhere])
    unseen = 1 - len(labels) / len(everywhere)
    mean, (low, high) = fmean(labels), _of_labels(labels, unseen)
    if _vary(labels) and weight:
        rest = [label - weight * score for label, score in zip(labels, filled, strict=True)]
        below, above = _of_rest(rest, labels, filled, weight, unseen)
        if above - below <= MOST_WIDER * (high - low):
            mean, low, high = (weight * middle + each for each in (fmean(rest), below, above))
        else:
            weight = 0.0
    else:
        weight = 0.0
    errors = [score - label for label, score in zip(labels, judged, strict=True) if score is not None]
    return HumanMean(
        mean=_on_the_scale(mean),
        ci95=(_on_the_scale(low), _on_the_scale(high)),
        labels=len(labels),
        lines=len(everywhere),
        judge_bias=fmean(errors) if errors else None,
        weight=weight,
    )


def tuned_weight(labels: Sequence[float], judged: Sequence[float], everywhere: Sequence[float]) -> float:
    """Return the weight of the judge's scores that PPI++ tunes, for the estimator above; 0 where the judge is no help.

    There it belongs to the lines without a label, is that of the estimator times their share, and stays within 0 and 1.
    """
    unlabelled, centre = 1 - len(labels) / len(everywhere), fmean(everywhere)
    spread = sum((score - centre) ** 2 for score in everywhere)
    if not unlabelled or not spread:
        return 0.0
    spread /= len(everywhere) - 1
    middle = fmean(judged)
    together = fmean(label * (score - middle) for label, score in zip(labels, judged, strict=True))
    return min(max(together / spread * unlabelled, 0.0), 1.0) / unlabelled


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution; right to four digits from 8 degrees of freedom on.

    Source: Abramowitz and Stegun, "Handbook of mathematical functions", 1964, formula 26.7.5.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * freedom**4)
    )


def _of_labels(labels: Sequence[float], unseen: float) -> Interval:
    """Return the interval of the labels' mean."""
    return _by_t(labels, unseen) if _vary(labels) else _exact(labels, SCORES[0], SCORES[-1], unseen)


def _of_rest(
    rest: Sequence[float], labels: Sequence[float], judged: Sequence[float], weight: float, unseen: float
) -> Interval:
    """Return the interval of the mean of label - weight * judge's score."""
    if _vary([label - score for label, score in zip(labels, judged, strict=True)]):
        return _by_t(rest, unseen, fitted=1)
    return _exact(rest, SCORES[0] - weight * SCORES[-1], SCORES[-1] - weight * SCORES[0], unseen)


def _vary(values: Sequence[float]) -> bool:
    """Say whether so many values differ from the most frequent one that a t interval can be trusted."""
    return len(values) - max(Counter(values).values()) >= ENOUGH_THAT_DIFFER


def _by_t(values: Sequence[float], unseen: float, fitted: int = 0) -> Interval:
    """Return Student's interval. unseen: the share of lines without a label. fitted: weights tuned to the values."""
    mean, freedom = fmean(values), len(values) - 1 - fitted
    squares = sum((value - mean) ** 2 for value in values)
    reach = t_quantile(freedom) * math.sqrt(squares / freedom / len(values) * unseen)
    return mean - reach, mean + reach


def _exact(values: Sequence[float], lowest: float, highest: float, unseen: float) -> Interval:
    """Return the interval that needs no normal distribution, its distances from the mean shortened as t's are."""
    mean, (low, high) = fmean(values), mean_interval(Counter(values), lowest, highest) or (lowest, highest)
    return mean - (mean - low) * math.sqrt(unseen), mean + (high - mean) * math.sqrt(unseen)


def _on_the_scale(value: float) -> float:
    return min(max(value, float(SCORES[0])), float(SCORES[-1]))
