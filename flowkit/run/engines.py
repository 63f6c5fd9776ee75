"""The engines of a run, by name: each feeds the lines of a file to the one worker and returns rows and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from flowkit.base.errors import BadInputError
from flowkit.data.figures import Figures
from flowkit.data.records import Row
from flowkit.prompt.prompty import Prompt
from flowkit.run.given import Seen
from flowkit.run.options import RunOptions


@dataclass(frozen=True)
class Result:
    """What a run gave.

    rows: one per line, in input order. details: where in the run's folder they are.
    stopped: why the run ended before its end, in a sentence each; empty where it came to its end.
    """

    rows: Sequence[Row]
    figures: Figures
    details: str
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prompts:
    """What a run asks with, for an answer and for a verdict."""

    chat: Prompt
    judge: Prompt


class Engine(Protocol):
    """Made of options alone. The order of calls is `read`, `open`, `run`, then `close` whatever happened.

    names: of the statements, in order of first appearance. findings: what is wrong with statements.
    notices: what a person has to know of the folder, such as an earlier run that was set aside. seen: what was
    seen of the lines.
    """

    names: list[str]
    findings: list[str]
    notices: list[str]
    seen: Seen

    def read(self, prompts: Prompts) -> None:
        """Read and check the data, with the columns that the prompts use.

        Raises BadInputError; nothing has been sent, no earlier result touched.
        """

    def open(self, chat_flow: Any, eval_flow: Any) -> None:
        """Make room in the run's folder, or find what it holds. Raises OSError or BadInputError.

        chat_flow: None where no line needs an answer. eval_flow: None where no line is judged.
        """

    def run(self) -> Result:
        """Ask for all that is missing. Raises StoppedError where no rows can be told."""

    def close(self) -> None:
        """Let go of the folder."""


def engine_for(options: RunOptions) -> Engine:
    """Return the engine that the options name. Raises BadInputError where what it needs is not installed."""
    try:
        if options.engine == "ray":
            from flowkit.run.on_ray import RayEngine

            return RayEngine(options)
        if options.engine == "promptflow":
            if not find_spec("promptflow"):
                raise ImportError("No module named 'promptflow'")
            from flowkit.run.on_promptflow import PromptflowEngine

            return PromptflowEngine(options)
    except ImportError as error:
        file = "requirements-ray.txt" if options.engine == "ray" else "requirements.txt"
        needs = (
            f"--engine {options.engine} needs {options.engine}: pip install -r {file}, or the extra [{options.engine}]"
        )
        raise BadInputError(f"{needs} ({error})") from None
    from flowkit.run.local import LocalEngine

    return LocalEngine(options)
