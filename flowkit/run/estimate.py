"""What a run takes, told before anything is sent: requests, tokens and money."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from flowkit.base.errors import BadInputError
from flowkit.base.scale import FIVE, Scale
from flowkit.data.records import Line, Tokens
from flowkit.judge.asking import most_tokens
from flowkit.judge.context import Context
from flowkit.judge.messages import COUNTED_MARK
from flowkit.model.configuration import Model, is_offline
from flowkit.model.token_factor import factor_of
from flowkit.prompt.budget import fitted_messages, prompt_tokens
from flowkit.prompt.history import Message
from flowkit.prompt.prompty import Prompt
from flowkit.run.given import lines_for
from flowkit.run.options import RunOptions
from flowkit.scores.prices import Rate, Rates, about, rate_of, table

COUNTED = "vocabulary"
NOTE = """The judge's prompts are counted with the longest answer. Not counted is that the
judge is asked again where its reply cannot be read. Nothing was sent."""


@dataclass(frozen=True)
class Need:
    """What requests of one kind take. prompt: tokens. reply: the most tokens that may come back. cost: in USD.

    cost is 0 where the price is unknown, and means nothing then.
    """

    requests: int = 0
    prompt: int = 0
    reply: int = 0
    cost: float = 0.0

    def plus(self, times: int, prompt: int, reply: int, rate: Rate | None) -> Need:
        """Return the same with so many equal requests more."""
        cost = rate.cost(prompt, reply) if rate else 0.0
        return Need(
            self.requests + times, self.prompt + times * prompt, self.reply + times * reply, self.cost + times * cost
        )


@dataclass(frozen=True)
class Estimate:
    """What the answers take, and what the verdicts take at the most; the judge's prompts hold the answers."""

    lines: int
    answers: Need
    verdicts: Need


async def estimate(lines: Iterable[Line], chat_flow: Any, eval_flow: Any) -> Estimate:
    """Count what the lines take if every request is answered at the first try. Nothing is sent.

    chat_flow: None where all lines have an answer. eval_flow: None where none is judged.
    The prompts of the answers are counted as they will be sent, the history cut to the budget.
    Raises BadInputError where a reply has no limit.
    """
    check_limits("--estimate", chat_flow, eval_flow)
    rates, count, answers, verdicts = rates_of(chat_flow, eval_flow), 0, Need(), Need()
    for line in lines:
        count += 1
        answer, longer, context = line.answer.text if line.answer else "", 0, Context.of(line)
        if line.answer is None:
            longer = chat_flow.prompt.max_tokens
            answers = answers.plus(1, await answer_prompt(chat_flow, line), longer, rates.answers)
        for asked in dict.fromkeys(line.asked().values()) if longer or answer.strip() else ():
            prompt = longer + await _verdict_prompt(eval_flow, answer, *asked, context)
            verdicts = verdicts.plus(eval_flow.votes, prompt, eval_flow.prompt.max_tokens, rates.verdicts)
    return Estimate(count, answers, verdicts)


async def answer_prompt(chat_flow: Any, line: Line) -> int:
    """Return the tokens of the prompt of an answer, as it will be sent."""
    model, asked = chat_flow.model, (line.question, line.chat_history, chat_flow.max_total_token)
    messages, _ = await fitted_messages(
        chat_flow.prompt, model.name, *asked, factor=factor_of(model), inputs=line.inputs
    )
    return await _counted(model, messages)


async def answer_at_most(chat_flow: Any, line: Line) -> Tokens:
    """Return the most tokens that an answer may take."""
    return Tokens(await answer_prompt(chat_flow, line), chat_flow.prompt.max_tokens, COUNTED)


async def verdict_at_most(eval_flow: Any, answer: str, statement: str, context: Context, scale: Scale = FIVE) -> Tokens:
    """Return the most tokens that a verdict may take: all votes, each asked as often as the judge is asked."""
    counted = await _verdict_prompt(eval_flow, answer, statement, scale, context)
    prompt, reply = most_tokens(counted, eval_flow.prompt.max_tokens)
    return Tokens(eval_flow.votes * prompt, eval_flow.votes * reply, COUNTED)


def rates_of(chat_flow: Any, eval_flow: Any) -> Rates:
    """Return what the flows' tokens cost. A flow that is None, and the offline demonstration, have no price."""
    return Rates(_rate(chat_flow), _rate(eval_flow))


def price_unknown(chat_flow: Any, eval_flow: Any) -> str | None:
    """Say which model has no known price, in a clause; None where all have one. A flow may be None."""
    flows = [flow for flow in (chat_flow, eval_flow) if flow]
    unknown = dict.fromkeys(flow.model.name for flow in flows if _rate(flow) is None)
    return f"price unknown: {table()} has none for {' and '.join(unknown)}" if unknown else None


def check_limits(option: str, chat_flow: Any, eval_flow: Any) -> None:
    """Raise BadInputError where a prompt sets no limit to its reply."""
    for flow in (chat_flow, eval_flow):
        if flow and not flow.prompt.max_tokens:
            raise BadInputError(f"{option} needs max_tokens in {flow.prompt.file}: without it a reply has no limit")


def estimated(options: RunOptions, prompt: Prompt, flows_for: Callable[[bool], tuple[Any, Any]]) -> str:
    """Return the estimate of a run as lines of text. Raises BadInputError for a bad line.

    prompt: of the answers. flows_for: returns the flows that answer and judge, given whether a line needs an answer;
    either may be None.
    """
    lines = lines_for(options, prompt)
    chat_flow, eval_flow = flows_for(any(line.answer is None for line in lines))
    found = asyncio.run(estimate(lines, chat_flow, eval_flow))
    rows = [
        ("answers", found.answers.requests, f"{found.answers.prompt:,}", f"{found.answers.reply:,}"),
        ("verdicts", found.verdicts.requests, f"at most {found.verdicts.prompt:,}", f"{found.verdicts.reply:,}"),
    ]
    headers = ["", "requests", "prompt tokens", "reply tokens, at most"]
    shown = tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "right"))
    return f"{options.data}: {found.lines} lines\n\n{shown}\n\n{_money(found, chat_flow, eval_flow)}\n{NOTE}"


def _money(found: Estimate, chat_flow: Any, eval_flow: Any) -> str:
    if any(flow and is_offline(flow.model) for flow in (chat_flow, eval_flow)):
        return "The offline demonstration has no price."
    if unknown := price_unknown(chat_flow, eval_flow):
        return f"{unknown}."
    return f"{about(found.answers.cost + found.verdicts.cost)} at most (prices of {table()})."


def _rate(flow: Any) -> Rate | None:
    if flow is None or is_offline(flow.model):
        return None
    return rate_of(flow.model.name, flow.model.service.base_url)


async def _verdict_prompt(eval_flow: Any, answer: str, statement: str, scale: Scale, context: Context) -> int:
    """Return the most tokens of the judge's first prompt, whose mark is new each time."""
    shown = await eval_flow.fitted(answer, statement, context, scale)
    return await _counted(eval_flow.model, eval_flow.messages(answer, statement, shown, scale, COUNTED_MARK))


async def _counted(model: Model, messages: list[Message]) -> int:
    """Return the tokens of a prompt as its service will count them, as far as that is known by now."""
    if is_offline(model):
        from offline_model.words import pieces  # it counts words

        return sum(len(pieces(message["content"])) for message in messages)
    return math.ceil(await prompt_tokens(messages, model.name) * factor_of(model))
