"""Where the lines of a run are worked on: in this process, or by workers of a Ray cluster."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from flowkit.base.errors import BadInputError
from flowkit.data.lines import read_lines
from flowkit.data.lint import lint
from flowkit.data.rows import Row, StoredRows, row_files, write_rows
from flowkit.run import shards
from flowkit.run.interruption import StoppedError
from flowkit.run.job import Job
from flowkit.run.journal import Journal
from flowkit.scores.sums import sum_up

Result = tuple[Sequence[Row], dict[str, Any], list[str]]


class Engine(Protocol):
    """Made of checked input; nothing has been sent, and no result of an earlier run touched.

    names: of the statements, in order of first appearance. findings: what is wrong with statements.
    details: where in the run's folder the rows are.
    """

    details: str
    names: list[str]
    findings: list[str]

    def open(self) -> None:
        """Make room in the folder of the run, or find what it holds. Raises OSError or BadInputError."""

    def run(self, chat_flow: Any, eval_flow: Any) -> Result:
        """Return a row per line, the metrics, and what went wrong with the run as a whole, if it came to an end."""


class Here:
    """One process, one event loop, `PFClient.run`; rows in memory and in one file."""

    details = "details.jsonl"

    def __init__(self, options: Namespace, out: Path) -> None:
        self._options, self._out = options, out
        self._lines = read_lines(Path(options.data))
        self.names = list(dict.fromkeys(name for line in self._lines for name in line.statements))
        self.findings = lint(line.statements for line in self._lines)

    def open(self) -> None:
        """Open the journal."""
        self._journal = Journal(self._out / "journal.jsonl", resume=self._options.resume is not None)

    def run(self, chat_flow: Any, eval_flow: Any) -> Result:
        """Run the job."""
        at_once, limit_s, quiet = self._options.concurrency, self._options.line_timeout, self._options.quiet
        with self._journal:
            job = Job(self._lines, chat_flow, eval_flow, self._journal, at_once, limit_s, quiet)
            rows = job.run()
        write_rows(self._out / "details.jsonl", rows)
        return rows, sum_up(rows), job.troubles


class OnRay:
    """Workers on one machine or many; rows in shards, read again where they are needed."""

    details = "details"

    def __init__(self, options: Namespace, out: Path) -> None:
        try:
            from flowkit.data import storage  # nothing else needs ray
            from flowkit.run import cluster
        except ImportError as error:
            raise BadInputError(f"--engine ray needs ray: pip install -r requirements-ray.txt ({error})") from None
        self._cluster, self._options, self._out = cluster, options, out
        self._layout = shards.lay_out(storage.read(options.data), out)
        self.names, self.findings = self._layout.names, self._layout.findings

    def open(self) -> None:
        """Put the journals of another run aside."""
        shards.make_room(self._out, resume=self._options.resume is not None)

    def run(self, chat_flow: Any, eval_flow: Any) -> Result:
        """Run the shards. Raises StoppedError where some could not be; what has ended is in their journals."""
        options, total = self._options, self._layout.lines
        where = self._cluster.Cluster(options.address, options.workers, options.concurrency)
        with tqdm(total=total, desc="lines", unit="line", disable=options.quiet or None) as bar:
            run = self._out, self._layout.shards, chat_flow, eval_flow, options.line_timeout, f".{options.format}"
            try:
                sums = self._cluster.run_shards(where, *run, on_done=bar.update)
            except (KeyboardInterrupt, self._cluster.RayError) as error:
                cause = (str(error).strip().splitlines() or ["by the person"])[-1]  # Ray's have a traceback before it
                raise StoppedError(f"stopped: {type(error).__name__}: {cause}") from error
        return StoredRows(row_files(self._out), total), sums.figures(self.names), []
