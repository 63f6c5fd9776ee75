"""The scores of a run in a notebook: a table coloured by score, and a plot of the means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowkit.scores.metrics import mean_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from pandas.io.formats.style import Styler

# As in the report: told apart by people who do not see all colours, and the number stands in each cell.
COLOURS = {
    1: "background-color: #b35806; color: #fff",
    2: "background-color: #fdc57b; color: #1d2126",
    3: "background-color: #e4e4e4; color: #1d2126",
    4: "background-color: #a6cfe8; color: #1d2126",
    5: "background-color: #0567a5; color: #fff",
}


def styled(details: pd.DataFrame) -> Styler:
    """Return the answers with their scores, coloured.

    details: of an evaluation run, as `PFClient.get_details` returns it.
    """
    table = details[["inputs.answer"]].rename(columns={"inputs.answer": "answer"}).join(scores(details))
    names = list(table.columns[1:])
    style = table.style.set_uuid("scores").map(_colour, subset=names).format("{:.0f}", subset=names, na_rep="?")
    style = style.format(escape="html", subset=["answer"]).format_index(escape="html", axis="columns")
    return style.set_properties(
        subset=["answer"], **{"text-align": "left", "max-width": "36em", "white-space": "normal"}
    )


def scores(details: pd.DataFrame) -> pd.DataFrame:
    """Return a column of scores per statement, missing where the judge gave none."""
    outputs = details.filter(regex="^outputs[.]").rename(columns=lambda name: name.removeprefix("outputs."))
    verdicts = outputs.loc[
        :, outputs.map(lambda value: isinstance(value, dict)).any()
    ]  # the others are promptflow's own
    return verdicts.map(lambda verdict: verdict.get("score") if isinstance(verdict, dict) else None).astype("Float64")


def plot_means(details: pd.DataFrame) -> Axes:
    """Plot each statement's scores and their mean with its 95 % interval, and return the axes."""
    import matplotlib.pyplot as plt  # 0.5 s

    table = scores(details)
    axes: Axes
    _, axes = plt.subplots(figsize=(7, 1 + 0.5 * len(table.columns)), layout="constrained")
    for place, name in enumerate(table.columns):
        given = [int(score) for score in table[name].dropna()]
        mean = mean_of(given)
        axes.plot(given, [place] * len(given), "o", color="#0567a5", alpha=0.3, markeredgewidth=0)
        if mean.ci95:
            axes.plot(mean.ci95, [place] * 2, "-", color="#1d2126")
        if mean.mean is not None:
            axes.plot([mean.mean], [place], "D", color="#1d2126")
    axes.set_yticks(range(len(table.columns)), list(table.columns))
    axes.set(xlim=(0.8, 5.2), ylim=(len(table.columns) - 0.5, -0.5), xticks=range(1, 6), xlabel="score")
    axes.set_title("Scores, their mean and its 95 % interval")
    return axes


def _colour(score: Any) -> str:
    return next((colour for given, colour in COLOURS.items() if score == given), "")
