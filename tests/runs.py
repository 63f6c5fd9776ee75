"""Runs as batch.py leaves them, made up: for pages of a thousand lines nobody needs a model."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowkit.data.figures import write_figures
from flowkit.data.records import Row, RunInfo, record
from flowkit.data.rows import write_rows
from flowkit.scores.sums import sum_up

WORDS = ["answer", "chunk", "context", "evaluates", "flow", "judge", "large", "lists", "model", "prompt", "verdict"]
RUN = {
    "answered_by": "gpt-4o",
    "judged_by": "gpt-4o-mini",
    "votes": 1,
    "offline": False,
    "prompts": {"chat.prompty": "0123456789ab", "eval_checklist.prompty": "ba9876543210"},
    "data": {"file": "lines.jsonl", "sha256": "abcdef012345"},
    "finished_at": "2026-11-23T12:00:00+00:00",
    "prices": "genai-prices 0.2.3",
}


def text(chance: random.Random, words: int) -> str:
    """Return so many words; the numbers among them keep the text from being packed to nothing."""
    return " ".join(chance.choice(WORDS) + (str(chance.randrange(100)) if i % 3 == 0 else "") for i in range(words))


def row(line: int, statements: Mapping[str, str], scores: Sequence[int | None], seed: int = 0, **more: Any) -> Row:
    """Return a line that was answered and judged."""
    asked, chance = random.Random(line), random.Random(1000 * seed + line)
    verdicts = {
        name: {"score": score, "explanation": text(chance, 20), "prompt": "ba98", "read_by": "schema", "asks": 1}
        | {"tokens": {"prompt": 700, "completion": 50, "counted_by": "service"}}
        for name, score in zip(statements, scores, strict=True)
    }
    first_s = 0.2 + chance.random()
    timing = {
        "asked_at": f"2026-11-23T11:{line // 60 % 60:02}:{line % 60:02}.000+00:00",
        **{"waited_s": 0.01, "first_chunk_s": first_s, "total_s": first_s + 2 * chance.random(), "chunks": 40},
        **{"chunks_per_s": 40.0, "tokens_per_s": 55.0},
    }
    found = {
        "line": line,
        "question": f"Question {line}: {text(asked, 12)}?",
        "chat_history": [],
        "history_dropped": 0,
        "answer": f"Answer {line}: {text(chance, 60)}.",
        "finish_reason": "stop",
        "tokens": {"prompt": 30, "completion": 80, "counted_by": "service"},
        "timing": timing,
        "verdicts": verdicts,
        "statements": dict(statements),
        "error": None,
        "cost_usd": line * 1e-6,
        **more,
    }
    return record(Row, found)


def failed(line: int, statements: Mapping[str, str], error: str = "APIConnectionError: lost") -> Row:
    """Return a line that got no answer."""
    asked = row(line, statements, [None] * len(statements))
    return Row(line, asked.question, asked.chat_history, statements=dict(statements), error=error)


def write_run(folder: Path, rows: Sequence[Row], by: Any = None, **run: Any) -> Path:
    """Write the folder of a run and return it. by: a column to group the rows by."""
    write_rows(folder / "details.jsonl", rows)
    write_figures(folder, replace(sum_up(rows, by), run=record(RunInfo, {**RUN, **run})))
    return folder
