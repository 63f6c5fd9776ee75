"""Calibration as a program: judge what a person has judged, keep each verdict, print how far the two agree."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from flowkit.base import background
from flowkit.base.errors import BadInputError
from flowkit.base.files import told
from flowkit.base.printing import speak_plainly
from flowkit.data.labels import Label, read_labels
from flowkit.data.records import Answer, Line, Verdict
from flowkit.run.folder import hold
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal
from flowkit.run.keys import Task, key_of
from flowkit.run.local import finish_all
from flowkit.run.options import RunOptions, at_least_one
from flowkit.run.worker import LineWorker
from flowkit.scores.calibration import Calibration, measure, print_calibration

FOLDER = Path("out/calibration")


def main(arguments: Sequence[str], eval_flow: Any) -> int:
    """Judge the labels of the file named, and print how far judge and person agree.

    Returns 0; 2 for arguments or a file that cannot be used, nothing was sent then; 3 where some labels got no score:
    the same command asks again for those alone.
    """
    parser = argparse.ArgumentParser("check_list.py calibrate", description=__doc__)
    parser.add_argument(
        "labels", type=Path, help="JSONL: answer, statement, score (a person's, 1 to 5); question, reference"
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"the folder for the verdicts ({FOLDER})")
    at_once = RunOptions.concurrency
    parser.add_argument(
        "--concurrency", type=at_least_one, default=at_once, metavar="N", help=f"requests in flight ({at_once})"
    )
    options = parser.parse_args(arguments)
    speak_plainly()
    try:
        calibration = calibrate(options.labels, eval_flow, options.out, options.concurrency)
    except (BadInputError, OSError) as error:
        print(f"calibrate: {told(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        return 2
    print_calibration(calibration)
    if not calibration.unscored:
        return 0
    print("to ask for what is missing: the same command again")
    return 3


def calibrate(
    labels_path: Path, eval_flow: Any, folder: Path = FOLDER, at_once: int = RunOptions.concurrency
) -> Calibration:
    """Judge what a person has judged, and compare.

    labels_path: JSONL of {"answer", "statement", "score"}; the judge is shown "question" and "reference" too where a
    label has them. eval_flow: an EvalFlow. folder: for the journal; what it has from the same judge is not asked for
    again. at_once: requests in flight.
    A request that fails leaves its label without a score. Raises BadInputError before anything is sent.
    """
    labels = read_labels(labels_path)
    path = folder / "journal.jsonl"
    with hold(folder), Journal(path, resume=path.is_file()) as journal:
        verdicts = _judged(labels, eval_flow.limited(at_once), journal, at_once)
    return measure(labels, verdicts, eval_flow.model.name)


def _judged(labels: Sequence[Label], eval_flow: Any, journal: Journal, at_once: int) -> list[Verdict]:
    """Return a verdict for each label: from the journal, or from the judge, who is asked once for equal ones."""
    tasks = [_task(label) for label in labels]
    interruption = Interruption()
    worker = LineWorker(None, eval_flow, journal, interruption, RunOptions.line_timeout)
    unique = {task.key: task for task in tasks}
    missing = [task for task in unique.values() if not worker.finished(task)]
    done = len(unique) - len(missing)
    with interruption.on_signals(), tqdm(total=len(unique), initial=done, desc="labels", disable=None) as bar:
        background.run(finish_all(worker, missing, at_once, bar.update))
    if interruption.cause:
        print(f"calibrate: stopped, {interruption.cause}", file=sys.stderr)
    rows = [worker.row(task) for task in tasks]
    found = zip(labels, rows, strict=True)
    return [(row.verdicts or {}).get(label.statement) or Verdict(None, row.error or "") for label, row in found]


def _task(label: Label) -> Task:
    named = {label.statement: label.statement}
    line = Line(label.number, label.question or "", [], named, reference=label.reference, answer=Answer(label.answer))
    shown = [label.question, label.reference]
    return Task(line, key_of("label", label.answer, label.statement, *(shown if any(shown) else [])))
