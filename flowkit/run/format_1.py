"""Journals of format 1, whose keys held the line's position, and whose verdicts stood together: read, not written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flowkit.data.records import Answer, JournalEntry, Verdict, record
from flowkit.run.keys import Task, key_of, verdict_key


def converted(
    former: Mapping[str, Mapping[str, Any]], tasks: Sequence[Task], chat_flow: Any, eval_flow: Any, first: int = 0
) -> Iterator[JournalEntry]:
    """Yield what a journal of format 1 holds of the lines of `tasks`, under today's keys.

    former: its records by their keys. first: the position of the first line in the data. What was asked with another
    prompt or model has other keys, and is left out.
    """
    if not former or chat_flow is None or eval_flow is None:
        return
    chat = [chat_flow.model.name, chat_flow.prompt.digest, chat_flow.max_total_token]
    judge = [eval_flow.model.name, eval_flow.prompt.digest, eval_flow.votes]
    for position, task in enumerate(tasks, start=first):
        line = task.line
        key = key_of("answer", position, line.question, line.chat_history, chat)
        if key not in former:
            continue
        text = former[key]["output"]
        yield JournalEntry(task.key, task.key, answer=record(Answer, {**former[key], "text": text}))
        verdicts = former.get(key_of("verdicts", key, text, line.statements, judge), {}).get("output", {})
        for name, verdict in verdicts.items():
            if verdict.get("score") is not None:
                new_key = verdict_key(task, text, line.statements[name], eval_flow)
                yield JournalEntry(new_key, task.key, verdict=record(Verdict, verdict))
