"""The figures of a run: their records, and metrics.json, where each statement's figures lie flat beside the counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowkit.base.errors import BadInputError
from flowkit.base.files import write_whole
from flowkit.base.scale import FIVE, scale_named
from flowkit.base.text import clean
from flowkit.data.plain import OMIT_EMPTY
from flowkit.data.records import FORMAT, RunInfo, plain, record

COUNTS = ("total", "answered", "judged", "failed")


@dataclass(frozen=True)
class Mean:
    """The mean of the scores given, with what it rests on; None where there is no number to tell.

    share_4_up: share of 4 and 5 among the scored ones; of pass and fail, that of pass, which is the mean.
    lowest, highest: the mean if every missing score were the lowest of the scale, or the highest: 1, or 5.
    ci95: a 95 % interval of the mean, from one score on, within the scale; share_ci95: of the share.
    """

    mean: float | None
    scored: int
    unscored: int
    share_4_up: float | None
    lowest: float | None
    highest: float | None
    ci95: tuple[float, float] | None
    share_ci95: tuple[float, float] | None = None
    scale: str = FIVE.name


@dataclass(frozen=True)
class WeightedMean:
    """The mean, over lines, of the weighted mean of a line's scores, each as a share of its scale: 0 lowest, 1 highest.

    scored: lines that have a score for each statement that weighs; unscored: the others. lowest, highest: the mean over
    all lines if every missing score were the lowest, or the highest. ci95: a 95 % interval of the mean.
    """

    mean: float | None
    scored: int
    unscored: int
    lowest: float
    highest: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Group:
    """What the rows with one value of a column say together; the fields are those of `Figures`."""

    total: int
    answered: int
    judged: int
    failed: int
    statements: dict[str, Mean] = field(default_factory=dict)
    weighted_average: WeightedMean | None = field(default=None, metadata=OMIT_EMPTY)


@dataclass(frozen=True)
class HumanMean:
    """The mean that people would have given over all answers, as a random sample of their labels tells.

    ci95: a 95 % interval, for these answers and no others. labels: of how many answers; lines: of how many in all.
    judge_bias: the judge's scores minus people's, on average over the labels; None where the judge gave none of them.
    weight: of the judge's scores in the mean; 0 where the labels alone tell more.
    """

    mean: float
    ci95: tuple[float, float]
    labels: int
    lines: int
    judge_bias: float | None
    weight: float


@dataclass(frozen=True)
class JudgeNoise:
    """How far a judge that is asked several times differs from itself.

    verdicts: with several votes. flipped: how many of them have a vote on the other side of the pass mark.
    share: of the variance behind the intervals, what comes from the judge and not from the lines; None where the
        scores do not vary.
    """

    verdicts: int
    flipped: int
    share: float | None


@dataclass(frozen=True)
class Percentiles:
    """Median and 95th percentile."""

    p50: float
    p95: float


@dataclass(frozen=True)
class TokenSums:
    """Tokens of all requests for answers, or for verdicts: of their prompts and of what came back."""

    prompt: int = 0
    completion: int = 0


@dataclass(frozen=True)
class Endings:
    """How many answers did not end as they should.

    cut: by the token limit. filtered: by the service's content filter. refused: the model declined. empty: no text.
    """

    cut: int = 0
    filtered: int = 0
    refused: int = 0
    empty: int = 0


@dataclass(frozen=True)
class Figures:
    """What the rows of a run say together.

    statements: by name. total: lines; answered, judged (in every statement), failed: how many of them.
    timing: percentiles by the name of a field of `Times`. tokens: of the answers. judge_tokens: of the verdicts.
    cost_usd: of both together, as in the rows; None where a price is unknown, and offline. notes: what a reader of
    the figures has to know, a sentence each. run: what the figures are of. human: by statement, where enough labels
    were given. noise: with several votes. weighted_average: where a checklist gives weights.
    by: the column that the rows are grouped by; groups: by its values as text, "" where a row has none.
    """

    statements: dict[str, Mean]
    total: int
    answered: int
    judged: int
    failed: int
    timing: dict[str, Percentiles] = field(default_factory=dict)
    tokens: TokenSums = TokenSums()
    judge_tokens: TokenSums = TokenSums()
    cost_usd: float | None = None
    endings: Endings = Endings()
    notes: tuple[str, ...] = ()
    run: RunInfo | None = None
    human: dict[str, HumanMean] = field(default_factory=dict)
    noise: JudgeNoise | None = None
    weighted_average: WeightedMean | None = None
    by: str | None = None
    groups: dict[str, Group] = field(default_factory=dict, metadata=OMIT_EMPTY)


def flat_means(statements: Mapping[str, Mean]) -> dict[str, float | int]:
    """Lay the means out as {"average_<statement>": 4.5, "scored_<statement>": 18, ...}.

    Plain finite numbers only, as promptflow hangs on numpy's and writes invalid JSON for NaN; what is None is left
    out. Two statements never share a key, whatever they are called: no prefix begins with another one.
    """
    flat: dict[str, float | int | None] = {}
    for name, mean in statements.items():
        flat[f"average_{name}"] = mean.mean
        flat[f"scored_{name}"] = mean.scored
        flat[f"unscored_{name}"] = mean.unscored
        flat[f"share_4_up_{name}"] = mean.share_4_up
        flat[f"lowest_{name}"] = mean.lowest
        flat[f"highest_{name}"] = mean.highest
        flat[f"ci95_low_{name}"], flat[f"ci95_high_{name}"] = mean.ci95 or (None, None)
        flat[f"share_ci95_low_{name}"], flat[f"share_ci95_high_{name}"] = mean.share_ci95 or (None, None)
    return {key: value for key, value in flat.items() if value is not None}


def flat_human_means(statements: Mapping[str, HumanMean]) -> dict[str, float | int]:
    """Lay them out as {"human_<statement>": 4.1, "judge_bias_<statement>": 0.4, ...}.

    Where a statement is called such that two share a key, the mean has it; the records have all.
    """
    flat: dict[str, float | int | None] = {}
    for name, human in statements.items():
        flat[f"human_ci95_low_{name}"], flat[f"human_ci95_high_{name}"] = human.ci95
        flat[f"human_labels_{name}"] = human.labels
        flat[f"judge_bias_{name}"] = human.judge_bias
    flat |= {f"human_{name}": human.mean for name, human in statements.items()}
    return {key: value for key, value in flat.items() if value is not None}


def write_figures(folder: Path, figures: Figures) -> Path:
    """Write metrics.json into the folder of a run, whole or not at all, and return its path."""
    path = folder / "metrics.json"
    rest = {name: value for name, value in plain(figures).items() if name != "statements" and value is not None}
    scales = {f"scale_{name}": each.scale for name, each in figures.statements.items() if each.scale != FIVE.name}
    flat = {**flat_means(figures.statements), **scales, **flat_human_means(figures.human)}
    content = {"format": FORMAT, **flat, **rest}
    write_whole(path, clean(json.dumps(content, indent=4, ensure_ascii=False) + "\n").encode())
    return path


def read_figures(folder: Path) -> Figures:
    """Return the figures of a run from its folder, of format 1 too. Raises BadInputError where there are none."""
    path = folder / "metrics.json"
    try:
        found = json.loads(path.read_bytes())
        return record(Figures, {**found, "statements": _means(found)})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInputError(f"{path}: expected what batch.py writes: {error}") from None


def _means(flat: Mapping[str, Any]) -> dict[str, Mean]:
    known = [key.partition("_")[2] for key in flat if key.startswith(("average_", "scored_"))]
    return {name: _mean(name, flat) for name in dict.fromkeys(known)}


def _mean(name: str, flat: Mapping[str, Any]) -> Mean:
    def interval(kind: str) -> tuple[float, float] | None:
        low, high = flat.get(f"{kind}_low_{name}"), flat.get(f"{kind}_high_{name}")
        return None if low is None or high is None else (low, high)

    return Mean(
        mean=flat.get(f"average_{name}"),
        scored=flat.get(f"scored_{name}", 0),
        unscored=flat.get(f"unscored_{name}", 0),
        share_4_up=flat.get(f"share_4_up_{name}"),
        lowest=flat.get(f"lowest_{name}"),
        highest=flat.get(f"highest_{name}"),
        ci95=interval("ci95"),
        share_ci95=interval("share_ci95"),
        scale=scale_named(flat.get(f"scale_{name}")).name,
    )
