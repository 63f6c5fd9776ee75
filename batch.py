"""The main job as a program: answer every line, judge every answer, print, write the results, exit honestly."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import Any

from check_list import EvalFlow
from flow import ChatFlow
from flowkit.base.errors import BadInputError
from flowkit.data.lines import digest_of
from flowkit.data.rows import Row, read_rows
from flowkit.model.configuration import is_offline
from flowkit.report.html import write_page
from flowkit.report.terminal import print_failures, print_figures, print_rows
from flowkit.run.engines import Engine, Here, OnRay
from flowkit.run.interruption import StoppedError
from flowkit.scores.comparison import compare, print_comparison
from flowkit.scores.gate import Gate, Threshold, check_gate, parse_thresholds, write_junit

ALL_WELL, GATE_MISSED, BAD_INPUT, SOME_FAILED = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job. Returns 0: all well; 1: a threshold is missed; 2: bad arguments or input; 3: some lines failed."""
    options = read_options(arguments)
    out = options.resume or options.out
    try:
        engine: Engine = OnRay(options, out) if options.engine == "ray" else Here(options, out)
        thresholds = parse_thresholds(options.fail_under, engine.names)
        baseline = read_rows(options.baseline) if options.baseline else None
        chat_flow, eval_flow = ChatFlow(), EvalFlow()
        run = what_runs(options.data, chat_flow, eval_flow)
        engine.open()
    except (BadInputError, ValueError, OSError) as error:
        print(f"batch.py: {error}", file=sys.stderr)
        return BAD_INPUT
    for finding in engine.findings:
        print(f"batch.py: {finding}", file=sys.stderr)
    try:
        rows, figures, troubles = engine.run(chat_flow, eval_flow)
    except StoppedError as error:
        print(f"{error}\nto ask for what is missing:\n{resume_command(options, out)}")
        return SOME_FAILED
    run["finished_at"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    figures |= {"run": run}
    print_rows(rows, engine.names)
    print_figures(figures, engine.names)
    print(f"answered by {chat_flow.model.name}, judged by {eval_flow.model.name}")
    write(out, figures, engine.details)
    gate = hold_against(thresholds, baseline, rows, figures, options)
    if figures["failed"]:
        print_failures(rows, troubles)
    print(write_page(out, rows, figures, baseline, options.baseline.name if baseline is not None else ""))
    if not figures["failed"]:
        return ALL_WELL if gate.passed else GATE_MISSED
    print(f"to ask for what is missing:\n{resume_command(options, out)}")
    return SOME_FAILED


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; argparse exits with 2 and says what it expected."""
    parser = argparse.ArgumentParser(description="Answer every line of a data file, judge every answer, sum up.")
    option = parser.add_argument
    option("--data", default="data.jsonl", help="JSONL, CSV or TSV: question, chat_history, statements (data.jsonl)")
    option("--out", type=Path, default=Path("out"), help="the folder for details.jsonl and metrics.json (out)")
    option("--resume", type=Path, metavar="DIR", help="go on with the run in that folder: ask only for what is missing")
    option("--concurrency", type=at_least_one, default=16, metavar="N", help="lines and requests in flight (16)")
    option("--line-timeout", type=at_least_one, default=600, metavar="S", help="seconds for one line (600)")
    option("--quiet", action="store_true", help="no progress bars")
    option(
        "--engine", choices=["local", "ray"], default="local", help="ray: worker processes, on many machines (local)"
    )
    option("--address", metavar="RAY", help="of a running Ray cluster, or auto; otherwise one is started here")
    option("--workers", type=at_least_one, metavar="N", help="Ray's worker processes (one a CPU)")
    option(
        "--format", choices=["jsonl", "parquet"], default="jsonl", help="of the rows that Ray's workers write (jsonl)"
    )
    option("--fail-under", action="append", default=[], metavar="NAME=X", help="exit 1 if that average is below X")
    option("--missing", choices=["skip", "worst"], default="skip", help="worst: a missing score counts as 1 (skip)")
    option("--baseline", type=Path, metavar="DIR", help="compare with the run in that folder")
    option("--no-worse-than-baseline", action="store_true", help="exit 1 if a statement is worse than there")
    option("--junit", type=Path, metavar="FILE", help="write a JUnit report")
    options = parser.parse_args(arguments)
    if options.no_worse_than_baseline and not options.baseline:
        parser.error("--no-worse-than-baseline needs --baseline DIR")
    if options.engine != "ray" and (options.address or options.workers or options.format != "jsonl"):
        parser.error("--address, --workers and --format need --engine ray")
    return options


def at_least_one(text: str) -> int:
    """Read a count for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def what_runs(data: str, chat_flow: ChatFlow, eval_flow: EvalFlow) -> dict[str, Any]:
    """Return what the figures will be of; digests tell the versions of a file apart."""
    return {
        "answered_by": chat_flow.model.name,
        "judged_by": eval_flow.model.name,
        "votes": eval_flow.votes,
        "offline": is_offline(chat_flow.model) or is_offline(eval_flow.model),
        "prompts": {"chat.prompty": chat_flow.prompt.digest, "eval_checklist.prompty": eval_flow.prompt.digest},
        "data": {"file": PurePath(data).name, "sha256": digest_of(Path(data))},
    }


def write(out: Path, figures: dict[str, Any], details: str) -> None:
    """Write the metrics, and say where the rows are."""
    (out / "metrics.json").write_text(json.dumps(figures, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{out / details} and {out / 'metrics.json'} written")


def hold_against(
    thresholds: Sequence[Threshold],
    baseline: Sequence[Row] | None,
    rows: Sequence[Row],
    figures: dict[str, Any],
    options: argparse.Namespace,
) -> Gate:
    """Compare with the baseline and the thresholds, print both, and write the JUnit report, as far as asked for."""
    comparison = compare(rows, baseline) if baseline is not None else None
    if comparison:
        print_comparison(comparison)
    gate = check_gate(figures, thresholds, comparison if options.no_worse_than_baseline else None, options.missing)
    if gate.checks:
        print(*gate.lines, sep="\n")
    if options.junit:
        write_junit(options.junit, rows, gate, PurePath(options.data).name)
    return gate


def resume_command(options: argparse.Namespace, out: Path) -> str:
    """Return the command that asks for what is missing."""
    words = ["python", sys.argv[0], "--data", options.data, "--resume", str(out)]
    words += ["--concurrency", str(options.concurrency)]
    if options.engine == "ray":
        words += ["--engine", "ray", "--format", options.format]
        words += ["--address", options.address] if options.address else []
        words += ["--workers", str(options.workers)] if options.workers else []
    words += ["--missing", options.missing] if options.missing != "skip" else []
    words += [word for text in options.fail_under for word in ("--fail-under", text)]
    words += ["--baseline", str(options.baseline)] if options.baseline else []
    words += ["--no-worse-than-baseline"] if options.no_worse_than_baseline else []
    words += ["--junit", str(options.junit)] if options.junit else []
    return shlex.join(words)


if __name__ == "__main__":
    sys.exit(main())
