"""What promptflow calls for each line of a run of ours: asynchronous functions that hand the line to the worker."""

# promptflow reads the annotations of an entry class and knows few; of what is returned, only text.
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any

Work = Callable[[int], Awaitable[Any]]


class AnswerEntry:
    """Answer a line whole. A line that fails amid a stream would end promptflow's run (microsoft/promptflow#3413).

    work: answers the line at a position, and raises where that failed; promptflow then counts a failed line.
    """

    def __init__(self, work) -> None:  # type: ignore[no-untyped-def]
        self.work: Work = work

    async def __call__(self, position: int, question: str, chat_history: list) -> str:  # type: ignore[type-arg]
        """Return the answer. Question and history are promptflow's to keep; the worker has its own."""
        answer: str = await self.work(position)
        return answer


class JudgeEntry:
    """Judge a line's answer on the running loop, and sum up as the flow does.

    work: judges the line at a position, likewise.
    """

    def __init__(self, work, eval_flow) -> None:  # type: ignore[no-untyped-def]
        self.work: Work = work
        self.eval_flow = eval_flow

    async def __call__(self, position: int, answer: str, statements: dict):  # type: ignore
        """Return the verdicts."""
        return copy(await self.work(position))  # promptflow adds a line number to the very object

    def __aggregate__(self, line_results: list) -> dict:  # type: ignore[type-arg]
        """Return the metrics."""
        figures: dict[str, float] = self.eval_flow.__aggregate__(line_results)
        return figures
