"""The answers of a promptflow run, from the folder that it has left; promptflow is not needed to read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from flowkit.base.errors import BadInputError
from flowkit.base.json_text import JsonObject
from flowkit.base.text import is_nothing
from flowkit.bridge.needs import home
from flowkit.data.lines import line_of
from flowkit.data.records import Line

ARTIFACTS = "flow_artifacts"  # promptflow keeps each line's inputs and outputs there as they were
NAMES = ("output", "answer")  # of the text among a flow's outputs


def folder_of(run: str) -> Path | None:
    """Return the folder of a promptflow run: `run` itself, or that of its name; None where there is none.

    A folder that is there and is no promptflow run goes before a run of that name.
    """
    folder = home() / ".runs" / run if len(Path(run).parts) == 1 and not Path(run).is_dir() else Path(run)
    return folder if (folder / ARTIFACTS).is_dir() else None


def answered_lines(folder: Path) -> Iterator[Line]:
    """Yield the lines of a run of a chat flow that have an answer.

    Raises BadInputError where the flow has no `question` among its inputs, or its outputs no text.
    """
    for path in sorted((folder / ARTIFACTS).glob("*.jsonl")):
        try:
            for text in path.read_bytes().splitlines():
                found = json.loads(text)
                number, run = found["line_number"] + 1, found["run_info"]
                if run["output"]:  # else the line failed
                    yield line_of(number, {**_asked(run["inputs"] or {}), "answer": _text(run["output"])})
        except KeyError as error:
            raise BadInputError(f"{path}: expected what promptflow writes; {error} is missing") from None
        except (OSError, TypeError, ValueError) as error:
            raise BadInputError(f"{path}: expected the answers of a chat flow: {error}") from None


def _asked(inputs: JsonObject) -> JsonObject:
    return {name: inputs[name] for name in ("question", "chat_history") if not is_nothing(inputs.get(name))}


def _text(outputs: JsonObject) -> str:
    for name in NAMES:
        if isinstance(text := outputs.get(name), str):
            return text
    raise ValueError(f"expected a text called {' or '.join(NAMES)} among the outputs, got {', '.join(outputs)}")
