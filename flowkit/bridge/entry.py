"""What promptflow calls: entries that hand a line of ours to the worker, and a flow with the inputs of its prompt."""

# promptflow reads the annotations of an entry class and knows few; of what is returned, only text.
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from flowkit.data.inputs import KINDS, own_inputs
from flowkit.prompt.prompty import Prompt

F = TypeVar("F", bound=Callable[..., Any])
Work = Callable[[int], Awaitable[Any]]


def takes_inputs_of(prompty: Path) -> Callable[[F], F]:
    """Show promptflow the prompt's own inputs as parameters of an entry that takes `**inputs`.

    promptflow passes on the parameters that it sees and drops the rest; `**inputs` it does not see.
    """

    def shown(entry: F) -> F:
        known = [each for each in inspect.signature(entry).parameters.values() if each.kind is not each.VAR_KEYWORD]
        with suppress(OSError, ValueError):  # whoever makes the flow is told what is wrong with the file
            prompt = Prompt.load(prompty)
            known += [_parameter(prompt, name) for name in own_inputs(prompt)]
        signature = inspect.signature(entry).replace(parameters=known)
        entry.__signature__ = signature  # type: ignore[attr-defined]
        return entry

    return shown


def _parameter(prompt: Prompt, name: str) -> inspect.Parameter:
    kind = KINDS.get(prompt.types.get(name, ""), (inspect.Parameter.empty,))[-1]
    default = prompt.defaults.get(name, inspect.Parameter.empty)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


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

    async def __call__(  # type: ignore
        self,
        position: int,
        answer: str,
        statements: dict,  # type: ignore
        question: str,
        chat_history: list,  # type: ignore
        reference: str,
    ):
        """Return the verdicts. All but the position is promptflow's to keep; the worker has its own."""
        return copy(await self.work(position))  # promptflow adds a line number to the very object

    def __aggregate__(self, line_results: list) -> dict:  # type: ignore[type-arg]
        """Return the metrics."""
        figures: dict[str, float] = self.eval_flow.__aggregate__(line_results)
        return figures
