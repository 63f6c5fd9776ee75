"""The evaluations that promptflow left on disk, read without promptflow, line by line beside a run of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowkit.base.errors import BadInputError
from flowkit.base.json_text import JsonObject
from flowkit.base.scale import as_score
from flowkit.bridge.needs import home
from flowkit.bridge.outputs import ARTIFACTS
from flowkit.data.lines import read_objects
from flowkit.data.records import Row, Verdict
from flowkit.data.statements import read_statements

EXAMPLE = '{"line_number": 0, "run_info": {"status": "Completed", "inputs": {}, "output": {}}}'
LEFT_OUT = "promptflow left this line out: the run that it evaluates has no answer to it"
FAILED = "promptflow has no verdict on this line"


@dataclass(frozen=True)
class OldLine:
    """What promptflow kept of one line. position: in the data, from 0. statements: None where the flow was given none.

    scores: by the statement's name; empty for a line that failed, whose error says why.
    """

    position: int
    answer: str | None
    statements: dict[str, str] | None
    scores: dict[str, int | None]
    error: str | None


def folder_of(run: str) -> Path:
    """Return where promptflow keeps the run of that name; a folder is taken as it is. Raises BadInputError."""
    runs = home() / ".runs"
    for folder in (Path(run), runs / run):
        if (folder / ARTIFACTS).is_dir():
            return folder
    raise BadInputError(
        f"{run}: expected a run of promptflow, its name or the folder with its {ARTIFACTS}; "
        f"there is none of that name in {runs}"
    )


def read_old_rows(folder: Path, ours: Sequence[Row]) -> list[Row]:
    """Return a row for each of ours: the same line as promptflow evaluated it, by its place in the data.

    What failed there, or was left out, is a row with its error and without verdicts. Raises BadInputError for a run
    that has no verdicts, or is of other data.
    """
    files = sorted((folder / ARTIFACTS).glob("*.jsonl"))
    lines = {line.position: line for file in files for line in read_objects(file, _old_line, EXAMPLE)}
    if not any(line.scores for line in lines.values()):
        raise BadInputError(f"{folder}: no line has a verdict with a score; name the run that evaluates the answers")
    if (last := max(lines)) >= len(ours):
        raise BadInputError(
            f"{folder}: promptflow evaluated a line {last + 1}, and the run to compare with has {len(ours)} lines; "
            "both must be of the same data"
        )
    return [_row(lines.get(position), row) for position, row in enumerate(ours)]


def _row(old: OldLine | None, ours: Row) -> Row:
    asked = Row(
        line=ours.line,
        question=ours.question,
        chat_history=ours.chat_history,
        statements=ours.statements,
        reference=ours.reference,
        inputs=ours.inputs,
    )
    if old is None:
        return replace(asked, error=LEFT_OUT)
    verdicts = {name: Verdict(score) for name, score in old.scores.items()}
    statements = ours.statements if old.statements is None else old.statements
    return replace(asked, answer=old.answer, statements=statements, verdicts=verdicts or None, error=old.error)


def _old_line(_: int, found: JsonObject) -> OldLine:
    run, position = found.get("run_info"), found.get("line_number")
    if not isinstance(run, dict) or not isinstance(position, int):
        raise ValueError("expected a line as promptflow keeps it, with 'line_number' and 'run_info'")
    inputs, output = run.get("inputs") or {}, run.get("output")
    kept = output if isinstance(output, dict) and run.get("status") == "Completed" else {}
    scores = {name: as_score(each["score"]) for name, each in kept.items() if _is_verdict(each)}
    error = None if scores else ((run.get("error") or {}).get("message") or FAILED)
    return OldLine(
        position=position,
        answer=inputs.get("answer"),
        statements=read_statements(inputs["statements"]) if "statements" in inputs else None,
        scores=scores,
        error=error,
    )


def _is_verdict(value: Any) -> bool:
    return isinstance(value, dict) and "score" in value
