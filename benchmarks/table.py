"""Results as a table, in a section of RESULTS.md that no other benchmark touches."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from tabulate import tabulate

RESULTS = Path(__file__).absolute().parent / "RESULTS.md"
PREAMBLE = "# Benchmarks\n\nWritten by `make bench`, each section by a script of its own; edits are lost.\n"

Samples = Mapping[str, Sequence[float]]  # by way, one number per round; empty where the way was not run


def row(label: str, samples: Samples, ways: Sequence[str], ratios: Sequence[tuple[str, str]]) -> list[str]:
    """Return the median of each way, then for each pair its ratio and, in brackets, the ratio's range over the rounds.

    Numbers of the same round stand at the same position; those of one round are taken within seconds of each other.
    """
    cells = [label, *(shown(median(samples[way])) if samples[way] else "-" for way in ways)]
    cells += [_ratio(samples[above], samples[below]) for above, below in ratios]
    return cells


def _ratio(above: Sequence[float], below: Sequence[float]) -> str:
    if not above or not below:
        return "-"
    middle = shown(median(above) / median(below))
    if len(above) != len(below):
        return middle
    by_round = [a / b for a, b in zip(above, below, strict=True)]
    return f"{middle} ({shown(min(by_round))} to {shown(max(by_round))})"


def shown(number: float) -> str:
    """Write a number with as many digits as a noisy one deserves."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the table as Markdown that also reads well in a terminal."""
    alignment = ["left"] + ["right"] * (len(header) - 1)
    return tabulate(rows, header, tablefmt="github", disable_numparse=True, colalign=alignment)


def numbered(notes: Sequence[str]) -> str:
    """Return the notes below a table, which refers to them as (1), (2) and so on."""
    lines = (textwrap.fill(f"{i}. {note}", 120, subsequent_indent="   ") for i, note in enumerate(notes, start=1))
    return "\n".join(lines)


def write_section(name: str, text: str, path: Path = RESULTS) -> None:
    """Put `text` between `<!-- name -->` and `<!-- /name -->`, at the end where the file has no such section yet."""
    section = f"<!-- {name} -->\n{text.strip()}\n<!-- /{name} -->\n"
    before = path.read_text(encoding="utf-8") if path.exists() else PREAMBLE
    old = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- /{re.escape(name)} -->\n", re.DOTALL)
    after = old.sub(lambda _: section, before) if old.search(before) else f"{before}\n{section}"
    path.write_text(after, encoding="utf-8")
