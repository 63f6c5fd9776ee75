"""The engine of a Ray cluster: shards of lines go to worker processes, rows stay in shards and are read from disk."""

from __future__ import annotations

import shutil
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from flowkit.data.rows import StoredRows, row_files
from flowkit.judge.context import shown_by
from flowkit.run import shards
from flowkit.run.cluster import Cluster, RayError, run_shards
from flowkit.run.engines import Prompts, Result
from flowkit.run.folder import hold
from flowkit.run.given import Seen, lines_for
from flowkit.run.interruption import StoppedError
from flowkit.run.options import RunOptions
from flowkit.run.shard_folder import make_room


class RayEngine:
    """Workers on one machine or many, for files that no memory holds. The folder is one that all machines see."""

    details = "details"

    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.names: list[str] = []
        self.findings: list[str] = []
        self.notices: list[str] = []
        self.seen = Seen(options)
        self._lock: FileLock | None = None
        self._new = options.folder / "lines.unfinished"

    def read(self, prompts: Prompts) -> None:
        """Cut the data into shards, beside those of an earlier run."""
        self._lock = hold(self.options.folder)
        shutil.rmtree(self._new, ignore_errors=True)
        lines = self.seen.watch(lines_for(self.options, prompts.chat))
        self._layout = shards.lay_out(lines, self._new, shown_by(prompts.judge))
        self.names, self.findings = self._layout.names, [*self._layout.findings, *self.seen.findings]

    def open(self, chat_flow: Any, eval_flow: Any) -> None:
        """Put the shards in place, and the journals of another run aside."""
        options = self.options
        aside = make_room(options.folder, self._new, self._layout.shards, chat_flow, resume=options.resume is not None)
        self.notices = [f"an earlier run's answers are kept in {aside}"] if aside else []
        self.notices += self.seen.notices
        self._flows = chat_flow, eval_flow

    def run(self) -> Result:
        """Run the shards. Raises StoppedError where some could not be; what has ended is in their journals."""
        options, total = self.options, self._layout.lines
        cluster = Cluster(options.address, options.workers, options.concurrency)
        with tqdm(total=total, desc="lines", unit="line", disable=options.quiet or None) as bar:
            run = options.folder, self._layout.shards, *self._flows, options.line_timeout, f".{options.format}"
            try:
                sums = run_shards(cluster, *run, by=options.by, on_done=bar.update)
            except (KeyboardInterrupt, RayError) as error:
                cause = (str(error).strip().splitlines() or ["by the person"])[-1]  # Ray's have a traceback before it
                raise StoppedError(f"stopped: {type(error).__name__}: {cause}") from error
        return Result(StoredRows(row_files(options.folder), total), sums.figures(self.names, options.by), self.details)

    def close(self) -> None:
        """Remove a layout that was not used, and let go of the folder."""
        shutil.rmtree(self._new, ignore_errors=True)
        if self._lock:
            self._lock.release()
