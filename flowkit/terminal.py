"""What a run looks like in a terminal of 80 columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

Row = Mapping[str, Any]
SHOWN_ROWS = 20


def print_rows(rows: Sequence[Row]) -> None:
    """Print the first rows: question, answer or error, scores."""
    names = _names_in(rows)
    table = [
        [row["line"], row["question"], row["error"] or row["answer"], *(_score(row, name) for name in names)]
        for row in rows[:SHOWN_ROWS]
    ]
    print(tabulate(table, ["line", "question", "answer", *names], maxcolwidths=[None, 20, 28]))
    if len(rows) > SHOWN_ROWS:
        print(f"... and {len(rows) - SHOWN_ROWS} more lines")


def print_figures(rows: Sequence[Row], figures: Mapping[str, Any]) -> None:
    """Print the metrics: a mean never without its counts."""
    kinds = ("average", "scored", "unscored", "share_4_up", "lowest", "highest")
    table = [[name, *(figures.get(f"{kind}_{name}", "-") for kind in kinds)] for name in _names_in(rows)]
    headers = ["statement", "average", "scored", "unscored", "4 or 5", "lowest", "highest"]
    print(f"\n{tabulate(table, headers, floatfmt='.2f', maxcolwidths=[24])}\n")
    print("{total} lines: {answered} answered, {judged} judged, {failed} failed".format(**figures))


def print_failures(rows: Sequence[Row], troubles: Sequence[str]) -> None:
    """Print how many lines failed of which kind, the most frequent first, with an example of each; then `troubles`."""
    by_kind: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["error"]:
            by_kind[row["error"].split(" - ")[0].split(":")[0]].append(row)
    for failed in sorted(by_kind.values(), key=len, reverse=True):
        print(f"{len(failed)} x {_shortened(failed[0]['error'])} (line {failed[0]['line']})")
    for trouble in troubles:
        print(trouble)


def _names_in(rows: Sequence[Row]) -> list[str]:
    """Return the statement names in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row["statements"]))


def _score(row: Row, name: str) -> str:
    """Return what to show: a dash where the line has no verdict, a question mark where the judge gave no score."""
    if not row["verdicts"] or name not in row["verdicts"]:
        return "-"
    score = row["verdicts"][name]["score"]
    return "?" if score is None else str(score)


def _shortened(text: str, limit: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}..."
