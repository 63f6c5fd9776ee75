"""What happens to a line, written once for all engines: answer it, judge each statement, keep each outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from flowkit.base import tracing
from flowkit.base.scale import FIVE, Scale
from flowkit.base.text import clean
from flowkit.data.records import Answer, JournalEntry, Line, Row, Times, Tokens, Verdict
from flowkit.data.usage import tokens_of
from flowkit.judge.context import Context
from flowkit.model.completion import Reply
from flowkit.model.errors import hopeless
from flowkit.run.estimate import rates_of
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal
from flowkit.run.keys import Task, verdict_key
from flowkit.run.line_traces import LineTraces
from flowkit.run.spending import Budget, Share

T = TypeVar("T", Answer, Verdict)
Statement = tuple[str, Scale]  # its text and the scale that it is judged on
EMPTY = Verdict(None, "the answer is empty, so the judge was not asked", read_by="empty answer", asks=0)
NOT_ASKED, ASKED = "not asked", "asked"
HOPELESS_IN_A_ROW = 3  # so many failures with a cause that no repetition mends, no success between: the run stops


class LineWorker:
    """Answers and judges lines; what is finished is in `journal`, why something is not in the rows.

    chat_flow, eval_flow: None where all lines have an answer, or none has statements. limit_s: for one answer and for
    one verdict, None for no limit. budget: what all of it may cost, None for no limit.
    """

    def __init__(
        self,
        chat_flow: Any,
        eval_flow: Any,
        journal: Journal,
        interruption: Interruption,
        limit_s: float | None,
        budget: Budget | None = None,
    ) -> None:
        self._chat_flow, self._eval_flow = chat_flow, eval_flow
        self._journal, self._interruption, self._limit_s = journal, interruption, limit_s
        self._errors: dict[str, str] = {}
        self._verdict_keys: dict[tuple[str, Statement], str] = {}
        self._hopeless = Counter[str]()
        self.traces = LineTraces(self.row)
        self._rates = rates_of(chat_flow, eval_flow)
        self._budget = budget or Budget(chat_flow, eval_flow)
        self._budget.count(journal.earlier)

    async def finish(self, task: Task) -> Row:
        """Answer the line unless it has an answer, judge it, and return its row. Raises nothing of the line's own."""
        if not self.finished(task):
            with self.traces.of(task):
                await self.answer(task)
                await self.judge(task)
        return self.row(task)

    async def answer(self, task: Task) -> Answer | None:
        """Answer the line unless it has an answer, or the journal has; None where that failed."""
        if (known := self._answer_of(task)) is not None:
            return known
        line = task.line
        answer = await self._outcome(
            task.key,
            lambda: self._budget.for_answer(line),
            lambda paid: _answer(self._chat_flow, line, paid),
        )
        if answer is not None:
            self._keep(JournalEntry(task.key, task.key, answer=answer))
        return self._answer_of(task)

    async def judge(self, task: Task) -> dict[str, Verdict] | None:
        """Judge every statement that the journal has no verdict on; None where not all of them could be judged.

        One that fails costs the others nothing.
        """
        if (answer := self._answer_of(task)) is None:
            return None
        different = dict.fromkeys(task.line.asked().values())
        missing = [statement for statement in different if self._verdict_of(task, statement) is None]
        if missing:
            shown = Context.of(task.line).used_by(self._eval_flow.prompt).given()
            inputs = {"answer": answer.text, "statements": task.line.statements, **shown}
            with tracing.span("EvalFlow", "Function", inputs) as span:
                await asyncio.gather(*(self._judge_one(task, answer.text, each, span) for each in missing))
        verdicts = self._verdicts_of(task)
        return verdicts if len(verdicts) == len(task.line.statements) else None

    def finished(self, task: Task) -> bool:
        """Say whether nothing is left to ask for."""
        return self._answer_of(task) is not None and self._first_error(task) is None

    def row(self, task: Task) -> Row:
        """Return what has become of the line so far."""
        line, answer = task.line, self._answer_of(task)
        row = Row(
            line=line.number,
            question=line.question,
            chat_history=line.chat_history,
            statements=line.statements,
            reference=line.reference,
            inputs=line.inputs or None,
            rules=line.rules,
            extra=line.extra,
        )
        if answer is None:
            return replace(row, error=self._errors.get(task.key, NOT_ASKED))
        error, verdicts = self._first_error(task), self._verdicts_of(task)
        row = replace(
            row,
            history_dropped=answer.history_dropped,
            answer=answer.text,
            finish_reason=answer.finish_reason,
            model=answer.model,
            refused=answer.refused,
            tokens=answer.tokens,
            timing=answer.timing,
            verdicts=None if error and not verdicts else verdicts,
            error=error,
            answered_from=line.answered_from or ASKED,
        )
        return replace(row, cost_usd=self._rates.of_row(row))

    def _answer_of(self, task: Task) -> Answer | None:
        if task.line.answer is not None:
            return task.line.answer
        entry = self._journal.finished.get(task.key)
        return entry.answer if entry else None

    def _verdict_of(self, task: Task, statement: Statement) -> Verdict | None:
        answer = self._answer_of(task)
        if answer is None:
            return None
        if not answer.text.strip():
            return EMPTY if statement[1] is FIVE else replace(EMPTY, scale=statement[1].name)
        entry = self._journal.finished.get(self._key_of(task, answer.text, statement))
        return entry.verdict if entry else None

    def _verdicts_of(self, task: Task) -> dict[str, Verdict]:
        found = {name: self._verdict_of(task, statement) for name, statement in task.line.asked().items()}
        return {name: verdict for name, verdict in found.items() if verdict is not None}

    def _first_error(self, task: Task) -> str | None:
        """Return why the first statement without a verdict has none; None where all have one."""
        answer = self._answer_of(task)
        for name, statement in task.line.asked().items():
            if answer is not None and self._verdict_of(task, statement) is None:
                error = self._errors.get(self._key_of(task, answer.text, statement), NOT_ASKED)
                return error if error == NOT_ASKED else f"{error} (statement {name!r})"
        return None

    def _key_of(self, task: Task, answer: str, statement: Statement) -> str:
        """Return the key of a verdict, computed once: what is hashed may be long, and it is needed again and again."""
        if (key := self._verdict_keys.get((task.key, statement))) is None:
            text, scale = statement
            key = self._verdict_keys[task.key, statement] = verdict_key(task, answer, text, self._eval_flow, scale)
        return key

    async def _judge_one(self, task: Task, answer: str, statement: Statement, span: Any) -> None:
        key, context = self._key_of(task, answer, statement), Context.of(task.line)
        text, scale = statement
        verdict = await self._outcome(
            key,
            lambda: self._budget.for_verdict(answer, text, context, scale),
            lambda paid: self._eval_flow.verdict(answer, text, context, span, paid, scale),
        )
        if verdict is not None:
            self._keep(JournalEntry(key, task.key, verdict=verdict))

    async def _outcome(
        self, key: str, share_of: Callable[[], Awaitable[Share | None]], work: Callable[[list[Tokens]], Awaitable[T]]
    ) -> T | None:
        """Return what `work` returns; None where it raised, and then note the error under `key`.

        share_of: sets money aside for it, and says None where there is not enough: then the run stops.
        """
        if self._interruption.requested:
            return None
        self._errors.pop(key, None)
        share = None
        try:
            if (share := await share_of()) is None:
                self._interruption.request(self._budget.cause)
            if share is None or self._interruption.requested:
                return None
            outcome = await self._interruption.run(work(share.paid), self._limit_s)
        except Exception as error:
            if share:
                share.failed(error)
            self._errors[key] = clean(f"{type(error).__name__}: {error}")
            self._stop_if_hopeless(error)
            return None
        finally:
            if share:
                share.settle()
        self._hopeless.clear()
        return outcome

    def _stop_if_hopeless(self, error: Exception) -> None:
        if cause := hopeless(error):
            self._hopeless[cause] += 1
            if self._hopeless[cause] >= HOPELESS_IN_A_ROW:
                self._interruption.request(f"the run was stopped after {HOPELESS_IN_A_ROW} failures in a row: {cause}")

    def _keep(self, entry: JournalEntry) -> None:
        try:
            self._journal.append(entry)
        except OSError as error:  # nothing that is paid for from here on could be kept
            cause = f"{self._journal.path} cannot be written: {error.strerror}; the run is stopped"
            self._errors[entry.key] = f"OSError: {cause}"
            self._interruption.request(cause)


async def _answer(chat_flow: Any, line: Line, paid: list[Tokens]) -> Answer:
    """Return the whole answer of a ChatFlow to a line, with how it ended, what it took, and who counted that.

    paid: gets what it took.
    """
    reply = Reply()
    pieces = chat_flow.stream(line.question, line.chat_history, reply, **line.inputs)
    text = "".join([piece async for piece in pieces])
    tokens = await tokens_of(reply.usage, chat_flow.model.name, reply.messages, text)
    paid.append(tokens)
    return Answer(
        text=clean(text),
        finish_reason=reply.finish_reason,
        history_dropped=reply.dropped,
        tokens=tokens,
        timing=Times(**reply.timing.as_dict(tokens.completion)),
        model=reply.model,
        refused=reply.refused,
    )
