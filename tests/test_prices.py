"""Prices: by model and service, from the library's own table, and unknown rather than 0."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from flowkit.data.figures import Figures
from flowkit.data.records import Row, RunInfo, Tokens, Verdict, record
from flowkit.report.terminal import print_figures
from flowkit.scores.prices import Rate, Rates, about, cost_told, rate_of, table
from flowkit.scores.sums import sum_up
from tests.runs import RUN, failed, row

PROJECT = Path(__file__).absolute().parent.parent
STATEMENTS = {"a": "It is.", "b": "It was."}
RATE = Rate("gpt-4o-mini", None, prompt=1e-6, completion=4e-6)
ASK = """
import sys
asked = []
sys.addaudithook(lambda event, arguments: asked.append(event) if event.startswith(("socket.", "urllib.")) else None)
import batch, threading
assert "genai_prices" not in sys.modules
from flowkit.scores.prices import rate_of
assert rate_of("gpt-4o-mini", None) and rate_of("no-such-model", "http://127.0.0.1:9/v1") is None
print(asked, threading.active_count())
"""


@pytest.mark.parametrize(
    ("model", "base_url", "provider"),
    [
        ("gpt-4o-mini", None, "openai"),
        ("gpt-4o-mini", "https://api.openai.com/v1", "openai"),
        ("gpt-4o-mini", "http://127.0.0.1:8000/v1", "openai"),  # a proxy, for all that anybody knows
        ("gpt-4o-mini", "https://mine.openai.azure.com", "azure"),
        ("openai/gpt-4o-mini", "https://openrouter.ai/api/v1", "openrouter"),
        ("gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai", "google"),
    ],
)
@pytest.mark.parametrize("prompt", [11, 29_000, 300_000])
def test_a_request_costs_what_the_library_says(model: str, base_url: str | None, provider: str, prompt: int) -> None:
    rate = rate_of(model, base_url)
    assert rate
    library = calc_price(Usage(input_tokens=prompt, output_tokens=70), model, provider_id=provider)
    assert rate.cost(prompt, 70) == pytest.approx(float(library.total_price))
    assert rate.cost(prompt, 70) > 0


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("no-such-model", None),
        ("offline-demo", "http://127.0.0.1:8000/v1"),
        ("gpt-4o-mini", "https://openrouter.ai/api/v1"),  # there it has another name
        ("gpt-4o-mini", "https://api.githubcopilot.com"),  # in the table, with no price
        ("", None),
    ],
)
def test_a_price_that_nobody_knows_is_not_0(model: str, base_url: str | None) -> None:
    assert rate_of(model, base_url) is None


def test_a_row_costs_what_its_answer_and_its_verdicts_cost() -> None:
    one = row(1, STATEMENTS, [5, None])  # 30 and 80 tokens, then twice 700 and 50
    expected = (30 + 4 * 80) / 1e6 + 2 * (700 + 4 * 50) / 1e6
    assert Rates(RATE, RATE).of_row(one) == pytest.approx(expected)
    same_text = replace(one, statements={"a": "It is.", "b": "It is."})
    assert Rates(RATE, RATE).of_row(same_text) == pytest.approx((30 + 4 * 80) / 1e6 + (700 + 4 * 50) / 1e6)


def test_an_empty_answer_is_not_judged_and_that_costs_nothing() -> None:
    empty = replace(row(1, {"a": "It is."}, [None]), answer="", verdicts={"a": Verdict(None, asks=0)})
    assert Rates(RATE, RATE).of_row(empty) == pytest.approx((30 + 4 * 80) / 1e6)


@pytest.mark.parametrize(
    ("rates", "changed"),
    [
        (Rates(None, RATE), row(1, STATEMENTS, [5, 5])),
        (Rates(RATE, None), row(1, STATEMENTS, [5, 5])),
        (Rates(RATE, RATE), failed(1, STATEMENTS)),
        (Rates(RATE, RATE), replace(row(1, STATEMENTS, [5, 5]), tokens=Tokens(None, 3, "service"))),
        (Rates(RATE, RATE), replace(row(1, STATEMENTS, [5, 5]), verdicts={"a": Verdict(5)})),  # of a former version
    ],
    ids=["answer", "verdict", "no answer", "tokens", "verdict's tokens"],
)
def test_the_cost_of_a_row_is_unknown_where_a_part_of_it_is(rates: Rates, changed: Row) -> None:
    assert rates.of_row(changed) is None


def test_an_answer_without_verdicts_needs_no_price_of_the_judge() -> None:
    assert Rates(RATE, None).of_row(row(1, {}, [])) == pytest.approx((30 + 4 * 80) / 1e6)


def test_a_run_costs_what_its_answered_rows_cost_or_an_unknown_amount() -> None:
    rows = [row(1, STATEMENTS, [5, 5]), row(2, STATEMENTS, [5, 5]), failed(3, STATEMENTS)]
    assert sum_up(rows).cost_usd == pytest.approx(3e-6)
    assert sum_up([*rows, replace(rows[0], cost_usd=None)]).cost_usd is None
    assert sum_up([failed(1, STATEMENTS)]).cost_usd is None


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0.00000343, "about $0.0000034"),
        (0.00021, "about $0.00021"),
        (0.05, "about $0.050"),
        (0.999, "about $1.00"),
        (1, "about $1.00"),
        (1234.5, "about $1,234.50"),
        (0, "about $0.00"),
    ],
)
def test_an_amount_is_told_with_two_digits_that_count(usd: float, text: str) -> None:
    assert about(usd) == text


def figures_of(rows: list[Row], **run: object) -> Figures:
    return replace(sum_up(rows), run=record(RunInfo, {**RUN, **run}))


def test_the_table_ends_with_what_the_run_cost(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures(figures_of([row(1, STATEMENTS, [5, 5]), row(2, STATEMENTS, [5, 5])]), list(STATEMENTS))
    assert capsys.readouterr().out.splitlines()[-1] == (
        "about $0.0000030, $0.0000015 a line (prices of genai-prices 0.2.3)"
    )


def test_an_unknown_price_is_told_and_the_offline_demonstration_has_none() -> None:
    rows = [replace(row(1, STATEMENTS, [5, 5]), cost_usd=None)]
    assert cost_told(figures_of(rows)) == "price unknown: genai-prices 0.2.3 has none for gpt-4o or gpt-4o-mini"
    assert cost_told(figures_of(rows, prices=None)) is None
    assert cost_told(sum_up(rows)) is None


def test_the_table_is_named_by_its_version() -> None:
    assert table().startswith("genai-prices 0.")


@pytest.mark.slow
def test_nothing_is_downloaded_and_nothing_is_loaded_before_a_price_is_asked_for() -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[] 1\n", "")
