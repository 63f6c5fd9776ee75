"""The notebook's table and plot, from details as promptflow returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flowkit.report.notebook import plot_means, scores, styled
from flowkit.scores.metrics import mean_of

if TYPE_CHECKING:
    import pandas as pd


def verdict(score: int | None) -> dict[str, Any]:
    return {"score": score, "explanation": "So it seems."}


@pytest.fixture
def details() -> pd.DataFrame:
    """Return the details of three lines: one without a score, one that failed."""
    pd = pytest.importorskip("pandas", reason="pandas comes with promptflow: pip install -r requirements.txt")
    pytest.importorskip("matplotlib").use("agg")  # no window
    return pd.DataFrame(
        {
            "inputs.answer": ["First.", "<b>Second</b>.", "Third."],
            "inputs.statements": [{}, {}, {}],
            "outputs.line_number": [0, 1, 2],
            "outputs.correct": [verdict(5), verdict(None), "(Failed)"],
            "outputs.never": [verdict(None), verdict(None), "(Failed)"],
        }
    )


def test_each_statement_has_a_column_of_scores(details: pd.DataFrame) -> None:
    import pandas as pd

    found = scores(details)
    assert list(found.columns) == ["correct", "never"]
    assert found["correct"].tolist() == [5.0, pd.NA, pd.NA]


def test_a_cell_has_the_colour_of_its_score(details: pd.DataFrame) -> None:
    html = styled(details).to_html()
    assert html.count("background-color: #0567a5") == 1
    assert html.count(">?</td>") == 5
    assert ">5</td>" in html
    assert "<b>" not in html


def test_the_plot_shows_every_score_and_the_mean(details: pd.DataFrame) -> None:
    details["outputs.correct"] = [verdict(5), verdict(4), verdict(3)]
    axes = plot_means(details)
    points, interval, mean, _ = (np.asarray(line.get_xdata()).tolist() for line in axes.lines)
    assert points == [5, 4, 3]
    assert interval == pytest.approx(mean_of([5, 4, 3]).ci95)
    assert mean == [4]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["correct", "never"]
