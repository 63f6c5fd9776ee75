"""The main job: answer every line, judge every answer, print, write the results, exit honestly."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from tabulate import tabulate
from tqdm import tqdm

from check_list import EvalFlow
from flow import ChatFlow
from flowkit import metrics
from flowkit.entry import AnswerEntry, JudgeEntry, Outcomes
from flowkit.lines import BadInputError, Line, read_lines
from flowkit.runs import run_lines

ALL_WELL, BAD_INPUT, SOME_FAILED = 0, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job. Returns 0: all well; 2: bad arguments or input, nothing was sent; 3: some lines failed."""
    options = read_options(arguments)
    try:
        lines = read_lines(options.data)
        chat_flow, eval_flow = ChatFlow(), EvalFlow()
    except (BadInputError, ValueError) as error:
        print(f"batch.py: {error}", file=sys.stderr)
        return BAD_INPUT
    answers = answer_lines(chat_flow, lines, options)
    verdicts = judge_lines(eval_flow, lines, answers, options)
    rows = [details_row(line, i, answers, verdicts) for i, line in enumerate(lines)]
    figures = sum_up(rows, verdicts)
    write(options.out, rows, figures)
    print_rows(rows)
    print_figures(rows, figures)
    print(f"{options.out / 'details.jsonl'} and {options.out / 'metrics.json'} written; judge: {eval_flow.model.name}")
    return SOME_FAILED if figures["failed"] else ALL_WELL


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; argparse exits with 2 and says what it expected."""
    parser = argparse.ArgumentParser(description="Answer every line of a data file, judge every answer, sum up.")
    parser.add_argument(
        "--data", type=Path, default=Path("data.jsonl"), help="JSONL with question, chat_history, statements"
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for details.jsonl and metrics.json")
    parser.add_argument("--concurrency", type=at_least_one, default=16, metavar="N", help="lines at the same time (16)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser.parse_args(arguments)


def at_least_one(text: str) -> int:
    """Read a count for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def answer_lines(chat_flow: ChatFlow, lines: list[Line], options: argparse.Namespace) -> Outcomes:
    """Ask every line's question."""
    inputs = [
        {"position": i, "question": line.question, "chat_history": line.chat_history} for i, line in enumerate(lines)
    ]
    with progress("answers", len(inputs), options) as bar:
        answers = Outcomes(on_done=bar.update)
        run_lines(AnswerEntry(chat_flow, answers), inputs, name=run_name("answers"), concurrency=options.concurrency)
    return answers


def judge_lines(eval_flow: EvalFlow, lines: list[Line], answers: Outcomes, options: argparse.Namespace) -> Outcomes:
    """Judge every answer by its line's statements."""
    inputs = [
        {"position": i, "answer": answer, "statements": lines[i].statements} for i, answer in answers.outputs.items()
    ]
    with progress("verdicts", len(inputs), options) as bar:
        verdicts = Outcomes(on_done=bar.update)
        if inputs:
            name = run_name("verdicts")
            run_lines(JudgeEntry(eval_flow, verdicts), inputs, name=name, concurrency=options.concurrency)
    return verdicts


def progress(what: str, total: int, options: argparse.Namespace) -> tqdm[NoReturn]:
    """Return a progress bar; it is silent where nobody looks."""
    return tqdm(total=total, desc=what, unit="line", disable=options.quiet or not sys.stderr.isatty())


def run_name(what: str) -> str:
    """Return a name for promptflow's list of runs."""
    return f"{what}_{time.strftime('%Y%m%d_%H%M%S')}_{time.time_ns() % 1_000_000:06}"


def details_row(line: Line, position: int, answers: Outcomes, verdicts: Outcomes) -> dict[str, Any]:
    """Return what is known of one line, whatever became of it."""
    return {
        "line": line.number,
        "question": line.question,
        "answer": answers.outputs.get(position),
        "verdicts": verdicts.outputs.get(position),
        "statements": line.statements,
        "error": answers.errors.get(position) or verdicts.errors.get(position),
    }


def sum_up(rows: list[dict[str, Any]], verdicts: Outcomes) -> dict[str, Any]:
    """Return the metrics; a line that failed counts in the bounds of its statements' means."""
    judged = [verdicts.outputs[i] for i in sorted(verdicts.outputs)]
    failed = [row for row in rows if row["error"]]
    return {
        **metrics.summary(judged, failed=[row["statements"] for row in failed]),
        "total": len(rows),
        "answered": sum(row["answer"] is not None for row in rows),
        "judged": len(judged),
        "failed": len(failed),
    }


def write(out: Path, rows: list[dict[str, Any]], figures: dict[str, Any]) -> None:
    """Write one row per input line, in input order, and the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    details = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "details.jsonl").write_text(details, encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(figures, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print the details as a table that fits 80 columns."""
    table = [
        [row["line"], row["question"], row["error"] or row["answer"], *(score_of(row, name) for name in names_in(rows))]
        for row in rows
    ]
    print(tabulate(table, ["line", "question", "answer", *names_in(rows)], maxcolwidths=[None, 20, 28]), end="\n\n")


def print_figures(rows: list[dict[str, Any]], figures: dict[str, Any]) -> None:
    """Print the metrics: a mean never without its counts."""
    kinds = ("average", "scored", "unscored", "share_4_up", "lowest", "highest")
    table = [[name, *(figures.get(f"{kind}_{name}", "-") for kind in kinds)] for name in names_in(rows)]
    print(
        tabulate(table, ["statement", "average", "scored", "unscored", "4 or 5", "lowest", "highest"], floatfmt=".2f")
    )
    print("\n{total} lines: {answered} answered, {judged} judged, {failed} failed".format(**figures))


def names_in(rows: list[dict[str, Any]]) -> list[str]:
    """Return the statement names in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row["statements"]))


def score_of(row: dict[str, Any], name: str) -> str:
    """Return the score to show: a dash where the line has none, a question mark where the judge gave none."""
    if not row["verdicts"] or name not in row["verdicts"]:
        return "-"
    score = row["verdicts"][name]["score"]
    return "?" if score is None else str(score)


if __name__ == "__main__":
    sys.exit(main())
