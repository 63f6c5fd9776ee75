"""What promptflow runs for each line of ours: asynchronous functions that note the outcome themselves."""

# promptflow reads the annotations of an entry class and knows few; of what is returned, only text.
from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Outcomes:
    """What became of the lines of one run, by position: an output, or the error that stood in its way."""

    on_done: Callable[[], object]
    outputs: dict[int, Any] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)

    async def note(self, position: int, work: Awaitable[T]) -> T:
        """Await `work` and note what became of it; promptflow sees the error too, as one failed line."""
        try:
            self.outputs[position] = output = await work
        except Exception as error:
            self.errors[position] = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.on_done()
        return copy(output)  # promptflow adds a line number to the very object


class AnswerEntry:
    """Answer a line whole. A line that fails amid a stream would end promptflow's run (microsoft/promptflow#3413)."""

    def __init__(self, chat_flow, outcomes) -> None:  # type: ignore[no-untyped-def]
        self.chat_flow, self.outcomes = chat_flow, outcomes

    async def __call__(self, position: int, question: str, chat_history: list) -> str:  # type: ignore[type-arg]
        """Return the answer."""
        answer: str = await self.outcomes.note(position, self.answer(question, chat_history))
        return answer

    async def answer(self, question: str, chat_history: Any) -> str:
        """Join the streamed pieces."""
        return "".join([piece async for piece in self.chat_flow.stream(question, chat_history)])


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
