"""The main job: answer every line, judge every answer, and know of every line what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from tqdm import tqdm

from flowkit.bridge.entry import AnswerEntry, JudgeEntry, Outcomes
from flowkit.bridge.repairs import without_new_service
from flowkit.bridge.runs import run_lines
from flowkit.data.lines import Line
from flowkit.data.rows import Row
from flowkit.model.configuration import Model
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal, key_of

LINES_PER_RUN = 2000  # promptflow keeps all of a run in memory, and its time per line grows with the number of lines


@dataclass
class Job:
    """What to run and how.

    chat_flow, eval_flow: a ChatFlow and an EvalFlow. at_once: lines and requests in flight.
    limit_s: seconds for one line, None for no limit. quiet: no progress bars.
    troubles: what went wrong with the run as a whole, in a sentence each.
    """

    lines: Sequence[Line]
    chat_flow: Any
    eval_flow: Any
    journal: Journal
    at_once: int
    limit_s: float | None
    quiet: bool
    troubles: list[str] = field(default_factory=list)
    _interruption: Interruption = field(default_factory=Interruption)
    _promptflow: ExitStack = field(default_factory=ExitStack)

    def run(self) -> list[Row]:
        """Ask for what the journal does not hold yet; return a row per line, in input order, whatever became of it."""
        for flow in (self.chat_flow, self.eval_flow):
            flow.model = limited(flow.model, self.at_once)
        with self._interruption.on_signals(), self._promptflow:
            answers = self._answer()
            verdicts = self._judge(answers)
        return rows_of(self.lines, answers, verdicts)

    def _answer(self) -> Outcomes:
        keys = {i: answer_key(i, line, self.chat_flow) for i, line in enumerate(self.lines)}
        outcomes = Outcomes(keys, self.journal, self._interruption, self.limit_s)
        inputs = [
            {"position": i, "question": line.question, "chat_history": line.chat_history}
            for i, line in enumerate(self.lines)
        ]
        self._run("answers", AnswerEntry(self.chat_flow, outcomes), inputs)
        return outcomes

    def _judge(self, answers: Outcomes) -> Outcomes:
        answered = answers.outputs()
        keys = {
            i: verdict_key(answers.keys[i], answer, self.lines[i], self.eval_flow) for i, answer in answered.items()
        }
        outcomes = Outcomes(keys, self.journal, self._interruption, self.limit_s)
        inputs = [
            {"position": i, "answer": answer, "statements": self.lines[i].statements} for i, answer in answered.items()
        ]
        self._run("verdicts", JudgeEntry(self.eval_flow, outcomes), inputs)
        return outcomes

    def _run(self, what: str, entry: AnswerEntry | JudgeEntry, inputs: list[dict[str, Any]]) -> None:
        """Run what is not finished, below a progress bar."""
        finished = entry.outcomes.outputs()
        missing = [each for each in inputs if each["position"] not in finished]
        if missing:  # otherwise promptflow need not even be imported
            self._promptflow.enter_context(without_new_service())
        silent = self.quiet or None  # None: where nobody looks
        with tqdm(total=len(inputs), initial=len(finished), desc=what, unit="line", disable=silent) as bar:
            entry.outcomes.on_done = bar.update
            for first in range(0, len(missing), LINES_PER_RUN):
                if not self._interruption.requested:
                    self._run_some(what, entry, missing[first : first + LINES_PER_RUN])

    def _run_some(self, what: str, entry: AnswerEntry | JudgeEntry, inputs: list[dict[str, Any]]) -> None:
        try:
            run_lines(entry, inputs, what=what, at_once=self.at_once)
        except Exception as error:  # promptflow's own: a full disk, say; what is finished is in the journal
            self.troubles.append(f"promptflow gave up on the {what}: {type(error).__name__} {error}")
            self._interruption.request()


def answer_key(position: int, line: Line, chat_flow: Any) -> str:
    """Return what a line's answer is called in the journal."""
    return key_of("answer", position, line.question, line.chat_history, _asked(chat_flow, chat_flow.max_total_token))


def verdict_key(answer_key: str, answer: str, line: Line, eval_flow: Any) -> str:
    """Return what the verdicts about an answer are called there."""
    return key_of("verdicts", answer_key, answer, line.statements, _asked(eval_flow, eval_flow.votes))


def rows_of(lines: Sequence[Line], answers: Outcomes, verdicts: Outcomes, first: int = 0) -> list[Row]:
    """Return a row per line, whatever became of it. first: the position of the first of `lines`."""
    answered, judged = answers.records(), verdicts.outputs()
    return [
        {
            "line": line.number,
            "question": line.question,
            "chat_history": line.chat_history,
            "history_dropped": answered.get(i, {}).get("history_dropped"),
            "answer": answered.get(i, {}).get("output"),
            **{name: answered.get(i, {}).get(name) for name in ("finish_reason", "tokens", "timing")},
            "verdicts": judged.get(i),
            "statements": line.statements,
            "error": None if i in judged else answers.errors.get(i) or verdicts.errors.get(i) or "not asked",
        }
        for i, line in enumerate(lines, start=first)
    ]


def limited(model: Model, at_once: int) -> Model:
    """Let `at_once` requests be in flight at the model's service, whatever lines and statements they are for."""
    return replace(model, service=replace(model.service, max_in_flight=at_once))


def _asked(flow: Any, *more: Any) -> list[Any]:
    """Return what a result depends on besides its line. Not the address: a server may have moved meanwhile."""
    return [flow.model.name, flow.prompt.digest, *more]
