"""What an outcome is called in the journal: by what was asked, never by the line's place in the file.

So a line that is inserted costs one answer and its verdicts, a file in another order costs nothing, and a statement
that is added costs one verdict a line.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowkit.base.scale import FIVE, Scale
from flowkit.data.records import Line
from flowkit.judge.context import Context


@dataclass(frozen=True)
class Task:
    """A line to work on, and the key of its answer in the journal."""

    line: Line
    key: str


def tasks_of(lines: Sequence[Line], chat_flow: Any) -> list[Task]:
    """Return a task per line, in order. Lines that ask the same are told apart by an occurrence number, those that
    have an answer by it too.

    They are numbered by their statements and only then by their place, so that another order changes nothing.
    """
    asked = [asked_key(line) for line in lines]
    by_content = sorted(range(len(lines)), key=lambda i: (asked[i], sorted(lines[i].statements.items()), i))
    seen, keys = Counter[Any](), [""] * len(lines)
    for i in by_content:
        given = lines[i].answer
        same = (asked[i], given and given.text)
        if given:
            keys[i] = key_of("given", *same, seen[same])
        else:
            keys[i] = key_of("answer", asked[i], seen[same], chat_flow.fingerprint)
        seen[same] += 1
    return [Task(line, key) for line, key in zip(lines, keys, strict=True)]


def verdict_key(task: Task, answer: str, statement: str, eval_flow: Any, scale: Scale = FIVE) -> str:
    """Return the key of the verdict on `statement` about the answer `answer` to the task's line.

    What the judge is shown besides is part of it; a judge's prompt that shows nothing else has the keys of before.
    """
    shown = Context.of(task.line).used_by(eval_flow.prompt)
    more = [*([shown.given()] if shown else []), *([] if scale is FIVE else [scale.name])]
    return key_of("verdict", task.key, answer, statement, eval_flow.fingerprint, *more)


def asked_key(line: Line) -> str:
    """Return the key of what a line asks; lines with the same one may have different answers."""
    return key_of("line", line.question, line.chat_history, *([line.inputs] if line.inputs else []))


def key_of(*parts: Any) -> str:
    """Return a key that is the same for the same parts in every process."""
    content = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
