"""The main job as a program: answer every line, judge every answer, write the results, print them, exit honestly."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path, PurePath

import check_list
import flow
from check_list import EvalFlow
from flow import ChatFlow
from flowkit.base.errors import BadInputError
from flowkit.base.files import told
from flowkit.base.printing import speak_plainly
from flowkit.base.program import INTERRUPTED, end_quickly, open_output, stop_printing
from flowkit.base.text import clean, visible
from flowkit.data.figures import Figures, write_figures
from flowkit.data.labels import Label, read_labels
from flowkit.data.records import Row, RunInfo
from flowkit.data.rows import read_rows
from flowkit.judge.messages import check_scales
from flowkit.model.token_factor import factor_of
from flowkit.prompt.prompty import Prompt
from flowkit.report.github import print_annotations, write_summary
from flowkit.report.html import write_page
from flowkit.report.junit import write_junit
from flowkit.report.terminal import print_comparison, print_failures, print_figures, print_rows
from flowkit.run.engines import Engine, Prompts, Result, engine_for
from flowkit.run.estimate import estimated
from flowkit.run.folder import check_data, check_resumed
from flowkit.run.info import info_of
from flowkit.run.interruption import StoppedError
from flowkit.run.options import RunOptions, read_options, resume_command
from flowkit.scores.comparison import Comparison, compare
from flowkit.scores.gate import Gate, Threshold, check_gate, parse_thresholds
from flowkit.scores.people import corrected

ALL_WELL, GATE_MISSED, BAD_INPUT, SOME_FAILED, CANNOT_TELL, OUR_FAULT = 0, 1, 2, 3, 4, 70


@dataclass(frozen=True)
class Plan:
    """What a run needs besides its engine, checked before anything is sent."""

    options: RunOptions
    chat_flow: ChatFlow | None
    eval_flow: EvalFlow | None
    thresholds: Sequence[Threshold]
    baseline: Sequence[Row] | None
    labels: Sequence[Label] | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job and return its exit code.

    0: all well. 1: a threshold is missed. 2: bad arguments, configuration or input, nothing was sent. 3: some lines
    failed, or results could not be written or printed; the last line is the command that resumes. 4: nothing is missed,
    but this many lines cannot tell. 70: a fault of ours. 130: interrupted before anything was sent, or twice.
    """
    options = read_options(arguments)
    open_output()
    speak_plainly()
    end_quickly()
    try:
        if options.estimate:
            code = print_estimate(options)
        else:
            with closing(engine_for(options)) as engine:
                code = run(engine, prepared(engine, options))
        sys.stdout.flush()  # here, where a reader that has left is no error
        return code
    except (BadInputError, Warning) as error:  # a warning is raised where a person asks Python for it
        return complain(error, BAD_INPUT)
    except KeyboardInterrupt:  # before anything was sent, or for the second time
        return complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # what was to be written is written
        stop_printing()
        return ALL_WELL
    except OSError as error:  # of printing: what happens to a file is told where the file is read or written
        stop_printing()
        where = error.filename or "the standard output"
        return complain(f"{where}: {error.strerror or error}; what is finished is in {options.folder}", SOME_FAILED)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{PurePath(frame.filename).name} line {frame.lineno}"
        kept = f"what is finished is in {options.folder / 'journal.jsonl'}"
        return complain(f"a fault of ours, at {where}: {type(error).__name__}: {error}; {kept}", OUR_FAULT)


def prepared(engine: Engine, options: RunOptions) -> Plan:
    """Check all that the run needs, and open its folder. Raises BadInputError; nothing has been sent then."""
    if options.resume:
        check_resumed(options.resume)
    check_data(options.data, options.folder)
    with errors_as_bad_input():
        engine.read(prompts_of(options))
        thresholds = parse_thresholds(options.fail_under, engine.names, engine.seen.scales)
        baseline = read_rows(options.baseline) if options.baseline else None
        labels = read_labels(options.labels) if options.labels else None
        plan = Plan(options, *flows_for(options, engine.seen.asks), thresholds, baseline, labels)
        if plan.eval_flow:
            check_scales(plan.eval_flow.prompt, engine.seen.scales.values())
        engine.open(plan.chat_flow, plan.eval_flow)
    for finding in (*engine.findings, *engine.notices):
        print(f"batch.py: {shown_whole(finding)}", file=sys.stderr)
    return plan


def print_estimate(options: RunOptions) -> int:
    """Print what the run would take; nothing is sent. Raises BadInputError."""
    with errors_as_bad_input():
        print(estimated(options, prompts_of(options).chat, partial(flows_for, options)))
    return ALL_WELL


def prompts_of(options: RunOptions) -> Prompts:
    """Return the prompts, before there is a model. Raises OSError or ValueError for a file that cannot be used."""
    files = options.chat_prompt or flow.PROMPT, options.judge_prompt or check_list.PROMPT
    return Prompts(*map(Prompt.load, files))


def flows_for(options: RunOptions, asks: bool) -> tuple[ChatFlow | None, EvalFlow | None]:
    """Return what answers and what judges; None in place of what nobody asks, which then needs no configuration.

    Raises ValueError for a model that cannot be used.
    """
    chat_prompt, judge_prompt = (str(path) if path else None for path in (options.chat_prompt, options.judge_prompt))
    return (
        ChatFlow(prompt=chat_prompt) if asks else None,
        None if options.only_answer else EvalFlow(votes=options.votes, prompt=judge_prompt),
    )


@contextmanager
def errors_as_bad_input() -> Iterator[None]:
    """Turn what goes wrong before anything is sent into BadInputError, whose message alone is shown."""
    try:
        yield
    except OSError as error:
        raise BadInputError(told(error)) from error
    except ValueError as error:
        raise BadInputError(str(error)) from error


def run(engine: Engine, plan: Plan) -> int:
    """Let the engine run, write what came of it, print it, and return the exit code."""
    options, started = plan.options, info_of(plan.options, plan.chat_flow, plan.eval_flow)
    try:
        result = engine.run()
    except StoppedError as error:
        return ask_to_resume(options, [str(error)])
    except OSError as error:
        return ask_to_resume(options, [told(error)])
    finished_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    learned = round(factor_of(plan.chat_flow.model), 2) if plan.chat_flow else 1.0
    ran = replace(started, finished_at=finished_at, token_factor=learned)
    figures = replace(result.figures, run=ran)
    if plan.labels is not None:
        figures = corrected(figures, result.rows, plan.labels)
    comparison = compare(result.rows, plan.baseline) if plan.baseline is not None else None
    gate = held_against(plan, figures, comparison)
    page, unwritten = write(plan, result, figures, gate)
    print_rows(result.rows, engine.names)
    print_figures(figures, engine.names)
    print_verdict(plan, ran, result, comparison, gate)
    if figures.failed:
        print_failures(result.rows, result.stopped)
        print_annotations(result.rows, options.data)
    print(page)
    if figures.failed or unwritten:
        return ask_to_resume(options, unwritten)
    return ALL_WELL if gate.passed else GATE_MISSED if gate.missed else CANNOT_TELL


def held_against(plan: Plan, figures: Figures, comparison: Comparison | None) -> Gate:
    """Return the gate: the figures beside the thresholds and, where that was asked for, beside the baseline."""
    options, margin = plan.options, plan.options.no_worse_than_baseline
    if margin is None:
        return check_gate(figures, plan.thresholds, None, options.missing, sure=options.sure)
    return check_gate(figures, plan.thresholds, comparison, options.missing, margin=margin, sure=options.sure)


def write(plan: Plan, result: Result, figures: Figures, gate: Gate) -> tuple[Path, list[str]]:
    """Write figures, page and JUnit report; return the page's path, and a line for each file that could not be."""
    options, folder, unwritten = plan.options, plan.options.folder, list[str]()
    baseline_name = options.baseline.name if options.baseline else ""

    def attempt(write_file: Callable[[], object]) -> None:
        try:
            write_file()
        except OSError as error:
            unwritten.append(told(error))

    attempt(lambda: write_figures(folder, figures))
    attempt(lambda: write_page(folder, result.rows, figures, plan.baseline, baseline_name))
    if (junit := options.junit) is not None:
        attempt(lambda: write_junit(junit, result.rows, gate, PurePath(options.data).name))
    try:
        write_summary(figures, gate)
    except OSError as error:  # nothing is missing in the folder
        complain(f"no summary for GitHub: {told(error)}", ALL_WELL)
    return folder / "report.html", unwritten


def print_verdict(plan: Plan, ran: RunInfo, result: Result, comparison: Comparison | None, gate: Gate) -> None:
    """Print who answered, where the files are, and how the run stands beside its baseline and thresholds."""
    folder = plan.options.folder
    print(f"answered by {ran.answered_by}, judged by {ran.judged_by}")
    if ran.token_factor > 1:
        print(f"{ran.answered_by} counts {ran.token_factor:.2f} tokens for each that we count; the budget heeds it")
    print(f"{folder / result.details} and {folder / 'metrics.json'} written")
    if comparison:
        print_comparison(comparison)
    if gate.checks:
        print(*map(shown_whole, (*gate.notes, *gate.lines)), sep="\n")


def ask_to_resume(options: RunOptions, causes: Sequence[str]) -> int:
    """Print why something is missing, and as the last line the command that asks for it."""
    command = resume_command(options, sys.argv[0], sys.stdout.encoding or "utf-8")
    print(*map(shown_whole, causes), f"to ask for what is missing:\n{command}", sep="\n")
    return SOME_FAILED


def complain(what: object, code: int) -> int:
    """Print one line to the standard error output."""
    print(f"batch.py: {shown_whole(str(what))}", file=sys.stderr)
    return code


def shown_whole(text: str) -> str:
    """Return a line that no terminal obeys, whatever texts are in it."""
    return visible(clean(text), kept="")


if __name__ == "__main__":
    sys.exit(main())
