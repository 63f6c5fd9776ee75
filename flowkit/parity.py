"""python -m flowkit.parity OLD NEW: is a run of ours as good as promptflow's on the same lines?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from flowkit.base.errors import BadInputError
from flowkit.base.printing import speak_plainly
from flowkit.base.text import clean, in_one_line
from flowkit.bridge.finished_runs import folder_of, read_old_rows
from flowkit.data.figures import Figures, Mean
from flowkit.data.rows import read_rows
from flowkit.report.terminal import print_comparison
from flowkit.scores.comparison import WORSE, compare
from flowkit.scores.sums import sum_up

AS_GOOD, WORSE_THAN_BEFORE, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both runs side by side and how they differ. Returns 1 where a statement is worse, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m flowkit.parity", description=__doc__)
    parser.add_argument("old", help="promptflow's run that evaluates the answers: its name, or its folder")
    parser.add_argument("new", type=Path, help="the folder of a run, as batch.py writes it, of the same data")
    options = parser.parse_args(arguments)
    speak_plainly()
    try:
        rows = read_rows(options.new)
        old_rows = read_old_rows(folder_of(options.old), rows)
    except BadInputError as error:
        print(f"parity: {error}", file=sys.stderr)
        return BAD_INPUT
    comparison = compare(rows, old_rows)
    print_side_by_side(sum_up(old_rows), sum_up(rows))
    print_comparison(comparison)
    return WORSE_THAN_BEFORE if any(each.verdict == WORSE for each in comparison.differences.values()) else AS_GOOD


def print_side_by_side(old: Figures, new: Figures) -> None:
    """Print the averages of both over the same lines; a line that failed counts among those that are not scored."""
    names = dict.fromkeys([*old.statements, *new.statements])
    table = [
        [in_one_line(clean(name), 40), *_told(old.statements.get(name)), *_told(new.statements.get(name))]
        for name in names
    ]
    headers = ["statement", "old", "scored", "at worst", "new", "scored", "at worst"]
    print(tabulate(table, headers, disable_numparse=True, colalign=["left", *["right"] * 6]))
    for which, figures in (("old", old), ("new", new)):
        print(f"{which}: {figures.total} lines, {figures.judged} judged, {figures.failed} failed")


def _told(mean: Mean | None) -> list[str]:
    if mean is None:
        return ["-", "-", "-"]
    average, lowest = ("-" if value is None else f"{value:.2f}" for value in (mean.mean, mean.lowest))
    return [average, f"{mean.scored} of {mean.scored + mean.unscored}", lowest]


if __name__ == "__main__":
    sys.exit(main())
