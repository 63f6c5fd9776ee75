"""What GitHub Actions shows of a run: a summary, an annotation for each failed line, and no command of others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from flowkit.base.text import in_one_line
from flowkit.data.figures import Figures
from flowkit.data.records import Row
from flowkit.scores.gate import Gate

SHOWN = 200  # characters of an error


def write_summary(figures: Figures, gate: Gate) -> None:
    """Append the figures and the gate as Markdown to the file that GITHUB_STEP_SUMMARY names, if it is set."""
    if not (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    with Path(path).open("a", encoding="utf-8", errors="replace") as summary:
        summary.write("\n".join(_summary(figures, gate)) + "\n")


def print_annotations(rows: Iterable[Row], data: str) -> None:
    """Print a line for each failed row that GitHub shows beside the data file, where GITHUB_ACTIONS is set."""
    if os.environ.get("GITHUB_ACTIONS"):
        for row in rows:
            if row.error:
                print(f"::error file={_escaped(data)},line={row.line}::{_escaped(in_one_line(row.error, SHOWN))}")


def no_command(text: str) -> str:
    """Return `text` so that GitHub Actions, where it runs us, takes no part of it for a workflow command."""
    return re.sub(r":(?=:)", ": ", text).replace("##[", "## [") if os.environ.get("GITHUB_ACTIONS") else text


def _summary(figures: Figures, gate: Gate) -> Iterable[str]:
    yield f"{figures.total} lines: {figures.answered} answered, {figures.judged} judged, {figures.failed} failed"
    yield ""
    yield "| statement | mean | 95 % interval | scored |"
    yield "| --- | ---: | ---: | ---: |"
    for name, mean in figures.statements.items():
        middle = "-" if mean.mean is None else f"{mean.mean:.2f}"
        yield f"| {_cell(name)} | {middle} | {_interval(mean.ci95)} | {mean.scored} of {mean.scored + mean.unscored} |"
    if figures.human:
        yield ""
        yield "| statement | people's mean | 95 % interval | labels |"
        yield "| --- | ---: | ---: | ---: |"
        for name, human in figures.human.items():
            labels = f"{human.labels} of {human.lines}"
            yield f"| {_cell(name)} | {human.mean:.2f} | {_interval(human.ci95)} | {labels} |"
    if gate.checks:
        yield ""
        yield "| asked of the run | outcome |"
        yield "| --- | --- |"
        for check in gate.checks:
            yield f"| {_cell(check.line.rpartition(': ')[0])} | {check.outcome} |"


def _interval(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}"


def _cell(text: str) -> str:
    """Return `text` so that no part of it is Markdown: no image, no link, no end of the cell."""
    return re.sub(r"[^\w\s.,:;%=+-]|_", lambda sign: f"&#{ord(sign[0])};", in_one_line(text, SHOWN))


def _escaped(text: str) -> str:
    """Escape what would end a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(",", "%2C").replace(":", "%3A")
