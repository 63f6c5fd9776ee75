"""What a run may spend: a request is sent only if its highest price is left, beside those of the requests in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import openai

from flowkit.base.errors import BadInputError
from flowkit.base.scale import FIVE, Scale
from flowkit.data.records import JournalEntry, Line, Tokens
from flowkit.judge.context import NOTHING_ELSE, Context
from flowkit.run.estimate import answer_at_most, check_limits, price_unknown, rates_of, verdict_at_most
from flowkit.scores.prices import Rate, about, price


class Budget:
    """The money of a run, for requests on one event loop at a time; without a limit it never says no.

    limit_usd: what requests may cost together, None for no limit.
    Raises BadInputError where there is a limit, and what a request may cost cannot be told.
    """

    def __init__(self, chat_flow: Any, eval_flow: Any, limit_usd: float | None = None) -> None:
        self.chat_flow, self.eval_flow, self.limit_usd = chat_flow, eval_flow, limit_usd
        self.spent_usd, self.reserved_usd, self.used_up = 0.0, 0.0, False
        self._in_flight = 0
        self._waiting: deque[tuple[float, asyncio.Future[bool]]] = deque()
        if limit_usd is None:
            return
        if unknown := price_unknown(chat_flow, eval_flow):
            raise BadInputError(f"--max-cost needs known prices; {unknown}")
        check_limits("--max-cost", chat_flow, eval_flow)
        self._rates = rates_of(chat_flow, eval_flow)

    @property
    def cause(self) -> str:
        """Say why no more is asked."""
        return (
            f"{about(self.spent_usd)} is spent, and the next request may reach --max-cost {self.limit_usd:g}; "
            "to go on, give more"
        )

    def count(self, entries: Iterable[JournalEntry]) -> None:
        """Count what was paid for before, as far as its tokens are known."""
        if self.limit_usd is not None:
            for entry in entries:
                of_answer = price(self._rates.answers, entry.answer.tokens) if entry.answer else None
                of_verdict = price(self._rates.verdicts, entry.verdict.tokens) if entry.verdict else None
                self.spent_usd += (of_answer or 0.0) + (of_verdict or 0.0)

    async def for_answer(self, line: Line) -> Share | None:
        """Set aside what an answer may cost; wait for that while others are in flight. None: it is not left."""
        if self.limit_usd is None:
            return Share(self)
        return await self._share(self._rates.answers, await answer_at_most(self.chat_flow, line))

    async def for_verdict(
        self, answer: str, statement: str, context: Context = NOTHING_ELSE, scale: Scale = FIVE
    ) -> Share | None:
        """Do the same for a verdict."""
        if self.limit_usd is None:
            return Share(self)
        most = await verdict_at_most(self.eval_flow, answer, statement, context, scale)
        return await self._share(self._rates.verdicts, most)

    def settle(self, share: Share) -> None:
        """Put what the request did cost in place of what was set aside; all of that where the service does not say."""
        if share.most is not None:
            self._in_flight -= 1
            self.reserved_usd -= share.reserved_usd
            costs = [price(share.rate, each) for each in share.paid]
            known = [cost for cost in costs if cost is not None]
            self.spent_usd += sum(known) if len(known) == len(costs) else share.reserved_usd
            self._let_go_on()

    async def _share(self, rate: Rate | None, most: Tokens) -> Share | None:
        amount = price(rate, most) or 0.0
        allowed = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, allowed))
        self._let_go_on()
        return Share(self, rate, most, amount) if await allowed else None

    def _let_go_on(self) -> None:
        """Let those go on, in their order, for whom enough is left; with none in flight and too little left, nobody."""
        while self._waiting:
            amount, allowed = self._waiting[0]
            fits = not self.used_up and self.spent_usd + self.reserved_usd + amount <= (self.limit_usd or 0.0)
            if not fits and self._in_flight:
                return  # what they did cost is known soon
            self._waiting.popleft()
            if allowed.done():  # cancelled
                continue
            self.used_up = not fits
            if fits:
                self._in_flight += 1
                self.reserved_usd += amount
            allowed.set_result(fits)


@dataclass
class Share:
    """What is set aside for one request. paid: the tokens of it that are known to be paid for."""

    budget: Budget
    rate: Rate | None = None
    most: Tokens | None = None
    reserved_usd: float = 0.0
    paid: list[Tokens] = field(default_factory=list)

    def failed(self, error: Exception) -> None:
        """Note that the request failed: one that is refused costs nothing, one that breaks off may cost the most."""
        if self.most and not isinstance(error, openai.APIStatusError):
            self.paid[:] = [self.most]

    def settle(self) -> None:
        """Give back what was not needed."""
        self.budget.settle(self)
