"""What tokens cost, by the table that comes with the library genai-prices; nothing is downloaded.

The library can update its table over the network, but only where a program starts its updater; nobody here does.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version

from flowkit.data.figures import Figures
from flowkit.data.records import Row, Tokens

OPENAI = "https://api.openai.com/v1"
SAMPLE = 1000  # tokens; every table's first tier reaches further
LONGEST_AT_FIRST_RATE = 30_000  # tokens of a prompt; some services ask more for each token of a longer one


@dataclass(frozen=True)
class Rate:
    """What a model's tokens cost, in USD for each. model, base_url: whose they are."""

    model: str
    base_url: str | None
    prompt: float
    completion: float

    def cost(self, prompt: int, completion: int) -> float:
        """Return the price in USD of a request with so many tokens."""
        exact = _looked_up(self.model, self.base_url, prompt, completion) if prompt > LONGEST_AT_FIRST_RATE else None
        return exact or prompt * self.prompt + completion * self.completion


@dataclass(frozen=True)
class Rates:
    """What answers and verdicts cost; None where the price is unknown."""

    answers: Rate | None
    verdicts: Rate | None

    def of_row(self, row: Row) -> float | None:
        """Return what answer and verdicts of the row cost, in USD; None without an answer, or where it is unknown."""
        if row.answer is None:
            return None
        asked = [verdict for verdict in row.distinct_verdicts() if verdict.asks]
        answer = [] if row.answered_from not in (None, "asked") else [price(self.answers, row.tokens)]
        parts = [*answer, *(price(self.verdicts, each.tokens) for each in asked)]
        known = [part for part in parts if part is not None]
        return round(math.fsum(known), 9) if len(known) == len(parts) else None


@lru_cache(maxsize=64)
def rate_of(model: str, base_url: str | None) -> Rate | None:
    """Return the rate of a model, None where its price is unknown: never 0.

    base_url: the service's address, None for OpenAI's own. Where the table knows the address, the price is that of
    the model there. An address that it does not know may be a proxy: then the model's name alone decides. So a server
    of one's own whose model has the name of a paid one gets that one's price.
    """
    prompt, completion = _looked_up(model, base_url, SAMPLE, 0), _looked_up(model, base_url, 0, SAMPLE)
    if not prompt or not completion:  # also for models that the table has without a price, or with one of 0
        return None
    return Rate(model, base_url, prompt / SAMPLE, completion / SAMPLE)


@lru_cache(maxsize=64)
def context_of(model: str, base_url: str | None) -> int | None:
    """Return how many tokens a model takes in all, by the same table; None where the table does not say."""
    from genai_prices.data_snapshot import get_snapshot

    with suppress(LookupError):  # a server of one's own may take less than the model could
        return get_snapshot().find_provider_model(model, None, None, base_url or OPENAI)[1].context_window
    return None


def table() -> str:
    """Return which table the prices are from. The library does not tell its date; its version stands for it."""
    return f"genai-prices {version('genai-prices')}"


def about(usd: float) -> str:
    """Return an amount as text: to the cent from a dollar on, below that with two digits that count."""
    if usd >= 1 or usd <= 0:
        return f"about ${usd:,.2f}"
    return f"about ${usd:.{1 - math.floor(math.log10(usd))}f}"


def cost_told(figures: Figures) -> str | None:
    """Return what a run cost, in a line; None where nothing can have a price, as offline."""
    if figures.run is None or figures.run.prices is None or not figures.answered:
        return None
    if figures.cost_usd is None:
        models = " or ".join(dict.fromkeys([figures.run.answered_by, figures.run.judged_by]))
        return f"price unknown: {figures.run.prices} has none for {models}"
    a_line = about(figures.cost_usd / figures.answered).removeprefix("about ")
    return f"{about(figures.cost_usd)}, {a_line} a line (prices of {figures.run.prices})"


def price(rate: Rate | None, tokens: Tokens | None) -> float | None:
    """Return what these tokens cost, in USD; None where that is not known."""
    if rate is None or tokens is None or tokens.prompt is None or tokens.completion is None:
        return None
    return rate.cost(tokens.prompt, tokens.completion)


def _looked_up(model: str, base_url: str | None, prompt: int, completion: int) -> float | None:
    from genai_prices import Usage, calc_price  # 0.1 s, for who needs it
    from genai_prices.data_snapshot import get_snapshot

    usage, provider_id = Usage(input_tokens=prompt, output_tokens=completion), None
    with suppress(LookupError):  # an address that is in no table
        provider_id = get_snapshot().find_provider(None, None, base_url or OPENAI).id
    try:
        return float(calc_price(usage, model, provider_id=provider_id).total_price)
    except LookupError:
        return None
