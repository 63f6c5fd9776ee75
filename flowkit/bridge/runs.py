"""`PFClient.run` over checked lines: many at once on one event loop, no run left "Running", no temporary file left."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from flowkit.bridge.entry import AnswerEntry, JudgeEntry

FOLDER_PREFIX = "chat-flow-run-"  # then the number of the process that made the folder
PROMPTFLOWS_LOGGERS = ("promptflow", "execution")


def run_lines(entry: AnswerEntry | JudgeEntry, inputs: Sequence[Mapping[str, Any]], *, what: str, at_once: int) -> None:
    """Call `entry` with each of `inputs` as one promptflow run, `at_once` lines at a time.

    inputs: the entry's arguments, `position` among them. what: the beginning of the run's name.
    Raises what promptflow raises where it fails as a whole.
    """
    from promptflow.client import PFClient  # slow to import, and bad input needs none of it

    client = PFClient()
    name = f"{what}_{time.strftime('%Y%m%d_%H%M%S')}_{os.getpid()}_{inputs[0]['position']}"
    close_dead_runs(client)
    remove_dead_folders()
    with tempfile.TemporaryDirectory(prefix=f"{FOLDER_PREFIX}{os.getpid()}-") as folder, quiet_promptflow(folder):
        data = Path(folder) / "lines.jsonl"
        data.write_text("".join(json.dumps(each) + "\n" for each in inputs), encoding="utf-8")
        try:
            client.run(
                flow=entry,
                data=data,
                column_mapping={column: f"${{data.{column}}}" for column in inputs[0]},
                name=name,
                tags={"process": str(os.getpid())},
                batch_use_async=True,
                worker_count=at_once,
            )
        finally:
            close_dead_runs(client, ours=True)


def close_dead_runs(client: Any, *, ours: bool = False) -> None:
    """Mark runs of ours as failed that say "Running" though their process has gone, or, with `ours`, is this one.

    promptflow leaves them so for ever when it is killed, or fails while it writes its results.
    """
    for run in client.runs.list():
        process = int((run.tags or {}).get("process", 0)) if run.status == "Running" else 0
        if process and (process == os.getpid() if ours else not psutil.pid_exists(process)):
            client.runs.update(run.name, status="Failed")


def remove_dead_folders() -> None:
    """Remove temporary folders of runs whose process was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        process = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def quiet_promptflow(folder: str) -> Iterator[None]:
    """Keep promptflow's log lines out of the terminal, and its temporary files in `folder`: it never removes them.

    Other log lines, our own among them, are shown as always.
    """
    import promptflow.batch  # noqa: F401 - its loggers exist once it is imported

    before = tempfile.tempdir
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if _is_promptflows(name)]
    tempfile.tempdir = folder
    for logger in loggers:
        logger.addFilter(_is_error)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_error)
        tempfile.tempdir = before


def _is_promptflows(name: str) -> bool:
    return name.partition(".")[0] in PROMPTFLOWS_LOGGERS


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING
