"""What promptflow runs for each line of ours: asynchronous functions that keep the outcome themselves."""

# promptflow reads the annotations of an entry class and knows few; of what is returned, only text.
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any, TypeVar

from flowkit.model.completion import Reply
from flowkit.prompt.budget import count_usage
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal

T = TypeVar("T")


class Outcomes:
    """What became of the lines of one run, by position.

    keys: what each line's result is called in the journal. limit_s: for one line, None for no limit.
    """

    def __init__(
        self, keys: Mapping[int, str], journal: Journal, interruption: Interruption, limit_s: float | None
    ) -> None:
        self.keys, self.errors = dict(keys), dict[int, str]()
        self.on_done: Callable[[], object] = lambda: None
        self._journal, self._interruption, self._limit_s = journal, interruption, limit_s

    def records(self) -> dict[int, dict[str, Any]]:
        """Return what is finished, from this run or the one it goes on with: {"output": ..., ...}."""
        finished = self._journal.finished
        return {position: finished[key] for position, key in self.keys.items() if key in finished}

    def outputs(self) -> dict[int, Any]:
        """Return the outputs alone."""
        return {position: record["output"] for position, record in self.records().items()}

    async def note(self, position: int, work: Awaitable[T], more: Mapping[str, Any] | None = None) -> T:
        """Await `work` and keep what comes of it; promptflow sees an error too, as one failed line.

        more: to be kept with the output; `work` may fill it.
        """
        try:
            output = await self._interruption.run(work, self._limit_s)
            self._keep(self.keys[position], {"output": output, **(more or {})})
        except Exception as error:
            self.errors[position] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.on_done()
        return copy(output)  # promptflow adds a line number to the very object

    def _keep(self, key: str, record: dict[str, Any]) -> None:
        try:
            self._journal.append(key, record)
        except OSError as error:
            self._interruption.request()  # nothing that is paid for from here on could be kept
            raise OSError(f"{self._journal.path} cannot be written: {error.strerror}; the run is stopped") from error


class AnswerEntry:
    """Answer a line whole. A line that fails amid a stream would end promptflow's run (microsoft/promptflow#3413)."""

    def __init__(self, chat_flow, outcomes) -> None:  # type: ignore[no-untyped-def]
        self.chat_flow, self.outcomes = chat_flow, outcomes

    async def __call__(self, position: int, question: str, chat_history: list) -> str:  # type: ignore[type-arg]
        """Return the answer."""
        how: dict[str, Any] = {}
        answer: str = await self.outcomes.note(position, self.answer(question, chat_history, how), how)
        return answer

    async def answer(self, question: str, chat_history: Any, how: dict[str, Any]) -> str:
        """Join the streamed pieces, and tell `how` it ended, what it took and who counted that."""
        reply = Reply()
        answer = "".join([piece async for piece in self.chat_flow.stream(question, chat_history, reply)])
        tokens = reply.usage or await count_usage(self.chat_flow.model.name, reply.messages, answer)
        how |= {"finish_reason": reply.finish_reason, "history_dropped": reply.dropped}
        how["tokens"] = {
            "prompt": tokens.get("prompt_tokens"),
            "completion": tokens.get("completion_tokens"),
            "counted_by": "service" if reply.usage else "vocabulary",
        }
        how["timing"] = reply.timing.as_dict(tokens.get("completion_tokens"))
        return answer


class JudgeEntry:
    """Judge a line's answer on the running loop, and sum up as the flow does."""

    def __init__(self, eval_flow, outcomes) -> None:  # type: ignore[no-untyped-def]
        self.eval_flow, self.outcomes = eval_flow, outcomes

    async def __call__(self, position: int, answer: str, statements: dict):  # type: ignore
        """Return the verdicts."""
        return await self.outcomes.note(position, self.eval_flow.judge(answer, statements))

    def __aggregate__(self, line_results: list) -> dict:  # type: ignore[type-arg]
        """Return the metrics."""
        figures: dict[str, float] = self.eval_flow.__aggregate__(line_results)
        return figures
