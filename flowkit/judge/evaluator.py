"""An EvalFlow as other programs take an evaluator: named inputs in, flat numbers out, such as Azure's `evaluate`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

SCORE, MISSING = "score_", "missing_"


class Evaluator:
    """Called with what the flow takes, by name, it returns two numbers for each statement.

    `score_<name>` is 1 to 5, or NaN where the judge gave none; `missing_<name>` is 1 then, and 0 otherwise. A mean that
    passes over NaN, as Azure's does, is the average over the scored lines. A request that fails raises.
    """

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self.__signature__ = inspect.signature(flow)  # Azure's `evaluate` reads off it which columns to give

    def __call__(self, **inputs: Any) -> dict[str, float]:
        """Judge one answer."""
        columns: dict[str, float] = {}
        for name, verdict in self._flow(**inputs).items():
            score = verdict["score"]
            columns[SCORE + name] = math.nan if score is None else float(score)
            columns[MISSING + name] = int(score is None)
        return columns

    def __aggregate__(self, lines: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
        """Return the flow's own figures. lines: what each call returned; NaN or None where a line lacks a statement."""
        figures: dict[str, float] = self._flow.__aggregate__([_verdicts(line) for line in lines])
        return figures


def _verdicts(line: Mapping[str, float | None]) -> dict[str, dict[str, int | None]]:
    """Return what the flow returned for that line, as far as it counts."""
    given = {name.removeprefix(MISSING): value for name, value in line.items() if name.startswith(MISSING)}
    return {
        name: {"score": None if missing else int(cast(float, line[SCORE + name]))}
        for name, missing in given.items()
        if missing is not None and not math.isnan(missing)
    }
