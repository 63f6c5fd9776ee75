"""What a run is asked to do: every option declared once, for the command line, the engines and the resume command."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from flowkit.base.text import shown
from flowkit.run.folder import data_of
from flowkit.scores.gate import MARGIN

ENGINES = ("local", "promptflow", "ray")


def at_least_one(text: str) -> int:
    """Read a count for argparse."""
    if not text.isdecimal() or not 1 <= int(text[:12]) < 10**9:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 999999999, got {text[:20]!r}")
    return int(text)


def usd(text: str) -> float:
    """Read an amount for argparse."""
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < math.inf:
        raise argparse.ArgumentTypeError(f"expected an amount in USD above 0, such as 2.50, got {text!r}")
    return amount


def path(text: str) -> Path:
    """Read the name of a file or a folder for argparse."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a file or a folder, got an empty name; is a variable not set?")
    return Path(text)


def option(default: Any, help: str, kind: Callable[[str], Any] = str, **more: Any) -> Any:
    """Declare an option. kind: reads its text. more: for argparse's `add_argument`, which formats the help."""
    return field(default=default, metadata={"help": help.replace("%", "%%"), "type": kind, **more})


@dataclass(frozen=True)
class RunOptions:
    """The options of a run; each is the flag of that name on the command line, with dashes.

    A default of False is a switch; a default of () may be given several times.
    """

    data: str = option(
        "data.jsonl", "JSONL, CSV or TSV: question, chat_history, statements, reference, answer (data.jsonl)"
    )
    checklist: Path | None = option(None, "JSON or YAML: statements for all lines", path, metavar="FILE")
    by: str | None = option(None, "figures for each value of that column, too", metavar="COLUMN")
    answers_from: str | None = option(
        None, "judge the answers of that run: its folder, or a promptflow run's name", metavar="RUN"
    )
    only_answer: bool = option(False, "ask for answers alone, and no judge")
    out: Path = option(Path("out"), "the folder for the rows and figures (out)", path)
    resume: Path | None = option(
        None, "go on with the run in that folder: ask only for what is missing", path, metavar="DIR"
    )
    concurrency: int = option(16, "requests in flight (16)", at_least_one, metavar="N")
    engine: str = option("local", "promptflow: PFClient.run; ray: worker processes, on many machines (local)",
                         choices=ENGINES)  # fmt: skip
    address: str | None = option(None, "of a running Ray cluster, or auto; otherwise one is started", metavar="RAY")
    workers: int | None = option(None, "Ray's worker processes (one a CPU)", at_least_one, metavar="N")
    format: str = option("jsonl", "of the rows that Ray's workers write (jsonl)", choices=["jsonl", "parquet"])
    chat_prompt: Path | None = option(None, "the prompt of the answers (chat.prompty)", path, metavar="FILE")
    judge_prompt: Path | None = option(None, "the prompt of the verdicts (eval_checklist.prompty)", path,
                                       metavar="FILE")  # fmt: skip
    votes: int = option(1, "how often the judge is asked for each verdict; the median counts (1)", int,
                        choices=[1, 3, 5])  # fmt: skip
    labels: Path | None = option(None, "people's scores, saved from report.html: tell what people would have given",
                                 path, metavar="FILE")  # fmt: skip
    estimate: bool = option(False, "print how many requests and tokens the run takes, and what it costs; send nothing")
    max_cost: float | None = option(None, "ask for nothing more once the run may cost that much", usd, metavar="USD")
    line_timeout: int = option(600, "seconds for one answer or one verdict (600)", at_least_one, metavar="S")
    missing: Literal["skip", "worst"] = option(
        "skip", "worst: a missing score counts as 1 (skip)", choices=["skip", "worst"]
    )
    fail_under: tuple[str, ...] = option((), "exit 1 if that average is below X", metavar="NAME=X")
    baseline: Path | None = option(None, "compare with the run in that folder", path, metavar="DIR")
    no_worse_than_baseline: float | None = option(
        None,
        f"exit 1 if a statement is worse than there, 4 if a fall by {MARGIN} is not ruled out",
        float,
        nargs="?",
        const=MARGIN,
        metavar="MARGIN",
    )
    sure: bool = option(False, "hold --fail-under against the whole 95 % interval; exit 4 if it lies on both sides")
    junit: Path | None = option(None, "write a JUnit report", path, metavar="FILE")
    quiet: bool = option(False, "no progress bars")

    @property
    def folder(self) -> Path:
        """The folder of the run, new or resumed."""
        return self.resume or self.out


def read_options(arguments: Sequence[str] | None) -> RunOptions:
    """Read the command line. argparse exits with 2 and says what it expected."""
    parser = argparse.ArgumentParser(description="Answer every line of a data file, judge every answer, sum up.")
    for each in fields(RunOptions):
        how = dict(each.metadata)
        if each.default is False:
            del how["type"]
            how["action"] = "store_true"
        elif each.default == ():
            how["action"] = "append"
        unset = None if each.default == () or each.name == "data" else each.default
        parser.add_argument(_flag(each.name), default=unset, **how)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    if given["data"] is None:
        given["data"] = RunOptions.data
        if given["resume"] and (file := data_of(given["resume"])) and file != given["data"]:
            parser.error(f"--resume {given['resume']}: that run is of {shown(file)}; add --data and where the file is")
    options = RunOptions(**{**given, "fail_under": tuple(given["fail_under"] or ())})
    margin = options.no_worse_than_baseline
    if margin is not None and not 0 < margin <= 4:
        parser.error(f"--no-worse-than-baseline: expected a margin above 0 and up to 4, got {margin:g}")
    if margin is not None and not options.baseline:
        parser.error("--no-worse-than-baseline needs --baseline DIR")
    if options.engine != "ray" and (options.address or options.workers or options.format != "jsonl"):
        parser.error("--address, --workers and --format need --engine ray")
    if options.engine == "ray" and options.max_cost:
        parser.error("--max-cost needs --engine local or promptflow: Ray's workers do not share what is spent")
    if options.estimate and options.resume:
        parser.error("--estimate is for a new run: it does not count what --resume finds finished")
    return options


def resume_command(options: RunOptions, program: str, encoding: str = "utf-8") -> str:
    """Return the command that asks for what is missing, with every option kept that is not the default.

    encoding: of where it is printed; a word that it does not have is written with bash's escapes.
    """
    python = next(filter(shutil.which, ("python", "python3")), sys.executable)
    words = [python, program] if program.endswith(".py") else [program]  # else an installed command
    given = [("data", options.data), ("resume", options.folder), ("concurrency", options.concurrency)]
    for each in fields(options):
        value = getattr(options, each.name)
        if each.name in ("data", "out", "resume", "concurrency") or value == each.default:
            continue
        given += [(each.name, one) for one in (value if isinstance(value, tuple) else (value,))]
    for name, value in given:
        words += [_flag(name)] if value is True else _with_value(_flag(name), str(value))
    return " ".join(_quoted(word, encoding) for word in words)


def _with_value(flag: str, value: str) -> list[str]:
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]  # argparse takes -x for another flag


def _quoted(word: str, encoding: str) -> str:
    """Return a word for the shell, with the bytes of one that `encoding` does not have as bash's $'...' writes them."""
    try:
        word.encode(encoding)
    except UnicodeEncodeError:
        plain = [
            chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(word)
        ]
        return f"$'{''.join(plain)}'"
    return shlex.quote(word)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
