"""`PFClient.run` over checked lines: many at once on one event loop, with progress, every outcome kept."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowkit.entry import AnswerEntry, JudgeEntry


def run_lines(
    entry: AnswerEntry | JudgeEntry, inputs: Sequence[Mapping[str, Any]], *, name: str, concurrency: int
) -> None:
    """Call `entry` with each of `inputs` as one promptflow run, at most `concurrency` at once.

    inputs: the entry's arguments, `position` among them. name: of the run, unique.
    The entry's `outcomes` then hold every line. Raises RuntimeError where promptflow ran only some of them.
    """
    from promptflow.client import PFClient  # slow to import, and bad input needs none of it

    with tempfile.TemporaryDirectory() as folder, quiet_promptflow(folder):
        data = Path(folder) / "lines.jsonl"
        data.write_text("".join(json.dumps(each) + "\n" for each in inputs), encoding="utf-8")
        run = PFClient().run(
            flow=entry,
            data=data,
            column_mapping={column: f"${{data.{column}}}" for column in inputs[0]},
            name=name,
            batch_use_async=True,
            worker_count=concurrency,
        )
    if missing := len(inputs) - len(entry.outcomes.outputs) - len(entry.outcomes.errors):
        raise RuntimeError(f"promptflow's run {name} is {run.status}, and {missing} lines of it were not run")


@contextmanager
def quiet_promptflow(folder: str) -> Iterator[None]:
    """Keep promptflow's files out of the working directory and its log lines out of the terminal, for a while.

    Without PF_FLOW_ENTRY_IN_TMP it overwrites `flow.flex.yaml` in the working directory and copies that directory,
    `.env` included, into the run's snapshot.
    """
    before, before_folder = os.environ.get("PF_FLOW_ENTRY_IN_TMP"), tempfile.tempdir
    os.environ["PF_FLOW_ENTRY_IN_TMP"] = "true"
    tempfile.tempdir = folder  # promptflow never removes the folders it makes there
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        tempfile.tempdir = before_folder
        os.environ.pop("PF_FLOW_ENTRY_IN_TMP")
        if before is not None:
            os.environ["PF_FLOW_ENTRY_IN_TMP"] = before
