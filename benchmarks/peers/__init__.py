"""The same job by libraries of several makers: answer every line, judge every answer by two statements.

Each module is a program that its library's documentation would have a user write: python -m benchmarks.peers.NAME DATA
AT_ONCE, in a virtual environment of its own. It writes results.jsonl, a record for each line that it has results of.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RESULTS = "results.jsonl"
INSTRUCTIONS = Path(__file__).absolute().parents[2] / "eval_checklist.prompty"  # as long as what batch.py sends
Line = dict[str, Any]
T = TypeVar("T")


@dataclass
class Result:
    """What a library says of a line. scores: 1 to 5 by statement, None or not there where it says none."""

    question: str
    answer: str | None = None
    scores: dict[str, float | None] = field(default_factory=dict)


def model() -> str:
    """Return the model's name; the libraries take address and key from the environment by themselves."""
    return os.environ["OPENAI_MODEL"]


def arguments() -> tuple[list[Line], int]:
    """Return the lines, and how many requests may be in flight."""
    _, data, at_once = sys.argv
    return [json.loads(line) for line in Path(data).read_text().splitlines()], int(at_once)


def messages(line: Line) -> Any:
    """Return a line's prompt."""
    system = {"role": "system", "content": "You are a helpful assistant."}
    return [system, *line["chat_history"], {"role": "user", "content": line["question"]}]


async def answered(client: AsyncOpenAI, line: Line) -> str:
    """Return the answer to a line, read as a stream: where a library leaves the answering to its user."""
    stream = await client.chat.completions.create(
        model=model(), messages=messages(line), temperature=0.2, max_tokens=1024, stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def or_none(work: Awaitable[T]) -> T | None:
    """Return None where it fails, and print why: where a library leaves it to its user that a line costs no other."""
    try:
        return await work
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
        return None


def write(results: Iterable[Result]) -> None:
    """Write the results into this folder."""
    Path(RESULTS).write_text("".join(json.dumps(vars(result)) + "\n" for result in results))
