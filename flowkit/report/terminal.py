"""What a run looks like in a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from tabulate import tabulate
from wcwidth import wcswidth

from flowkit.base.scale import FIVE
from flowkit.base.text import clean, in_one_line
from flowkit.data.figures import Figures, Mean, WeightedMean
from flowkit.data.records import Row
from flowkit.report.github import no_command
from flowkit.scores.comparison import Comparison
from flowkit.scores.prices import cost_told

SHOWN_ROWS, SHOWN_TEXT, SHOWN_GROUP_ROWS = 20, 140, 40
COLUMNS = 80
ENDED_OTHERWISE = {
    "cut": "cut by the token limit",
    "filtered": "cut by the service's content filter",
    "refused": "a refusal",
    "empty": "empty, and not judged",
}


def print_rows(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Print the first rows: question, answer or error, scores; of many statements the mean and the lowest score."""
    answer_width = min(28, COLUMNS - 30 - sum(wcswidth(name) + 4 for name in names))  # tabulate's margins included
    if not (fits := answer_width >= 20):
        answer_width = 28
    table = [
        [
            str(row.line),
            _line(row.question),
            _line(row.error or _answer(row)),
            *([_score(row, name) for name in names] if fits else _mean_and_lowest(row)),
        ]
        for row in rows[:SHOWN_ROWS]
    ]
    headers = ["line", "question", "answer", *(map(_line, names) if fits else ["mean", "lowest"])]
    align = ["right", "left", "left", *["right"] * (len(headers) - 3)]
    print(tabulate(table, headers, maxcolwidths=[None, 20, answer_width], disable_numparse=True, colalign=align))
    if len(rows) > SHOWN_ROWS:
        print(f"... and {len(rows) - SHOWN_ROWS} more lines")


def print_figures(figures: Figures, names: Sequence[str]) -> None:
    """Print the figures: a mean never without its counts."""
    table = [[_line(name), *_cells(figures.statements.get(name))] for name in names]
    headers = ["statement", "average", "95 %", "scored", "4 or 5", "lowest", "highest"]
    align = ["left", *["right"] * (len(headers) - 1)]
    shown = tabulate(table, headers, maxcolwidths=[16], disable_numparse=True, colalign=align) + "\n" if names else ""
    print(f"\n{shown}")
    if weighted := figures.weighted_average:
        average, interval, scored = _average_cells(weighted)
        print(f"weighted average, from 0 to 1: {average}, 95 % {interval}, {scored} lines scored\n")
    if figures.by is not None:
        print_groups(figures, figures.by)
    if figures.human:
        print_human_means(figures)
    print(f"{figures.total} lines: {figures.answered} answered, {figures.judged} judged, {figures.failed} failed")
    for kind, what in ENDED_OTHERWISE.items():
        if count := getattr(figures.endings, kind):
            print(f"{count} of {figures.answered} answers {'was' if count == 1 else 'were'} {what}")
    if cost := cost_told(figures):
        print(textwrap.fill(cost, COLUMNS))
    for note in figures.notes:
        print(textwrap.fill(note, COLUMNS))


def print_groups(figures: Figures, by: str) -> None:
    """Print the figures of each group, the groups in order of their values, as far as a terminal is the place."""
    table = [
        [_line(value) or "(none)", str(group.total), _line(name), *cells]
        for value, group in figures.groups.items()
        for name, cells in [
            *((name, _average_cells(mean)) for name, mean in group.statements.items()),
            *([("weighted average", _average_cells(group.weighted_average))] if group.weighted_average else []),
        ]
    ]
    headers = [_line(by), "lines", "statement", "average", "95 %", "scored"]
    align = ["left", "right", "left", *["right"] * 3]
    shown = table[:SHOWN_GROUP_ROWS]
    print(tabulate(shown, headers, maxcolwidths=[16, None, 16], disable_numparse=True, colalign=align))
    if len(table) > len(shown):
        print(f"... and {len(table) - len(shown)} more, in metrics.json and report.html")
    print()


def print_human_means(figures: Figures) -> None:
    """Print what people would have given beside what the judge gave, and how far the judge is off."""
    table = [
        [
            *(name, f"{each.mean:.2f}", "{:.2f}-{:.2f}".format(*each.ci95), f"{each.labels} of {each.lines}"),
            *(_figure(judge.mean if (judge := figures.statements.get(name)) else None), _signed(each.judge_bias)),
        ]
        for name, each in figures.human.items()
    ]
    headers = ["statement", "people's", "95 %", "labels", "judge's", "judge's bias"]
    align = ["left", *["right"] * (len(headers) - 1)]
    print("the averages that people would have given, from a sample of their labels:")
    print(f"{tabulate(table, headers, maxcolwidths=[16], disable_numparse=True, colalign=align)}\n")


def print_comparison(comparison: Comparison) -> None:
    """Print it in 80 columns; `shows` is the change that this many pairs show four times in five."""
    table = [
        [
            *(_line(name), _signed(each.mean), " to ".join(map(_signed, each.ci95 or [None])), str(each.pairs)),
            *("-" if each.shows is None else f"{each.shows:.2f}", each.verdict),
        ]
        for name, each in comparison.differences.items()
    ]
    headers = ["statement", "change", "95 % interval", "pairs", "shows", "this run is"]
    print(f"\n{tabulate(table, headers, disable_numparse=True, maxcolwidths=[15, None, None, None, None, 18])}\n")
    print(f"{comparison.paired} lines compared with the baseline; without a partner: ", end="")
    print(f"{comparison.without_partner} here, {comparison.baseline_without_partner} there")


def print_failures(rows: Sequence[Row], troubles: Sequence[str]) -> None:
    """Print how many lines failed of which kind, the most frequent first, with an example of each; then `troubles`."""
    counts, examples = Counter[str](), dict[str, str]()
    for row in rows:
        if row.error:
            kind = row.error.split(" - ")[0].split(":")[0]
            counts[kind] += 1
            examples.setdefault(kind, f"{_line(row.error, 200)} (line {row.line})")
    for kind, count in counts.most_common():
        print(f"{count} x {examples[kind]}")
    for trouble in troubles:
        print(_line(trouble, 500))


def _line(text: str, limit: int = SHOWN_TEXT) -> str:
    """Return the start of a text on one line, with nothing in it that a terminal would obey or could not carry."""
    return no_command(in_one_line(clean(text), limit))


def _answer(row: Row) -> str:
    """Return the answer, marked where it did not end as it should."""
    return f"[{row.ending}] {row.answer}".rstrip() if row.ending else row.answer or ""


def _score(row: Row, name: str) -> str:
    """Return what to show: a dash where the line has no verdict, a question mark where the judge gave no score."""
    if not row.verdicts or name not in row.verdicts:
        return "-"
    score = row.score(name)
    return "?" if score is None else row.scale(name).shown(score)


def _cells(mean: Mean | None) -> list[str]:
    if mean is None:
        return ["-"] * 6
    return [*_average_cells(mean), *map(_figure, (mean.share_4_up, mean.lowest, mean.highest))]


def _average_cells(mean: Mean | WeightedMean) -> list[str]:
    """Return the mean, its interval, and how many scores it rests on."""
    interval = "-" if mean.ci95 is None else "{:.2f}-{:.2f}".format(*mean.ci95)
    return [_figure(mean.mean), interval, f"{mean.scored} of {mean.scored + mean.unscored}"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _mean_and_lowest(row: Row) -> list[str]:
    """Return the same for all statements of a line; how many failed, beside those from 1 to 5."""
    scores = {name: verdict.score for name, verdict in (row.verdicts or {}).items()}
    given = [score for name, score in scores.items() if score is not None and row.scale(name) is FIVE]
    failed = sum(score == 0 for score in scores.values())
    marks = [*([f"{failed} fail"] if failed else []), *(["?"] if None in scores.values() else [])]
    lowest = " ".join([*([str(min(given))] if given else []), *marks]) or "-"
    return [f"{sum(given) / len(given):.2f}" if given else "-", lowest]


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
