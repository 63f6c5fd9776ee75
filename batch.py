"""The main job as a program: answer every line, judge every answer, print, write the results, exit honestly."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from check_list import EvalFlow
from flow import ChatFlow
from flowkit.job import Job, Row, sum_up
from flowkit.journal import Journal
from flowkit.lines import BadInputError, read_lines
from flowkit.terminal import print_failures, print_figures, print_rows

ALL_WELL, BAD_INPUT, SOME_FAILED = 0, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job. Returns 0: all well; 2: bad arguments or input, nothing was sent; 3: some lines failed."""
    options = read_options(arguments)
    out = options.resume or options.out
    try:
        lines = read_lines(options.data)
        chat_flow, eval_flow = ChatFlow(), EvalFlow()
        journal = Journal(out / "journal.jsonl", resume=options.resume is not None)
    except (BadInputError, ValueError, OSError) as error:
        print(f"batch.py: {error}", file=sys.stderr)
        return BAD_INPUT
    with journal:
        job = Job(lines, chat_flow, eval_flow, journal, options.concurrency, options.line_timeout, options.quiet)
        rows = job.run()
    figures = sum_up(rows)
    print_rows(rows)
    print_figures(rows, figures)
    print(f"answered by {chat_flow.model.name}, judged by {eval_flow.model.name}")
    write(out, rows, figures)
    if not figures["failed"]:
        return ALL_WELL
    print_failures(rows)
    print(*job.troubles, sep="\n", end="\n" if job.troubles else "")
    print(f"to ask for what is missing:\n{resume_command(options, out)}")
    return SOME_FAILED


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; argparse exits with 2 and says what it expected."""
    parser = argparse.ArgumentParser(description="Answer every line of a data file, judge every answer, sum up.")
    option = parser.add_argument
    option("--data", type=Path, default=Path("data.jsonl"), help="JSONL: question, chat_history, statements")
    option("--out", type=Path, default=Path("out"), help="the folder for details.jsonl and metrics.json (out)")
    option("--resume", type=Path, metavar="DIR", help="go on with the run in that folder: ask only for what is missing")
    option("--concurrency", type=at_least_one, default=16, metavar="N", help="lines and requests in flight (16)")
    option("--line-timeout", type=at_least_one, default=600, metavar="S", help="seconds for one line (600)")
    option("--quiet", action="store_true", help="no progress bars")
    return parser.parse_args(arguments)


def at_least_one(text: str) -> int:
    """Read a count for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def write(out: Path, rows: Sequence[Row], figures: dict[str, Any]) -> None:
    """Write one row per input line, in input order, and the metrics."""
    details = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "details.jsonl").write_text(details, encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(figures, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{out / 'details.jsonl'} and {out / 'metrics.json'} written")


def resume_command(options: argparse.Namespace, out: Path) -> str:
    """Return the command that asks for what is missing."""
    words = ["python", sys.argv[0], "--data", str(options.data), "--resume", str(out)]
    return shlex.join([*words, "--concurrency", str(options.concurrency)])


if __name__ == "__main__":
    sys.exit(main())
