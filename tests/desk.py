"""A place to run batch.py from as a person would, and what must hold afterwards, whatever happened amid the run."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import batch
from flowkit.data.records import plain
from flowkit.data.rows import read_rows
from tests.chat_server import Answer, ChatServer
from tests.conftest import new_home

PROJECT = Path(__file__).absolute().parent.parent
STATEMENTS = {"short": "It is short.", "right": "It is right."}
KEY = "sk-never-shown-1234"
VERDICT = Answer(deltas=['{"explanation": "So it seems.", "score": 4}'])


def healthy(body: dict[str, Any]) -> Answer:
    """Answer with the question, so that every answer can be told from the others."""
    asked = body["messages"][-1]["content"]
    return Answer(deltas=["Re: ", asked], first_s=0.02) if body.get("stream") else VERDICT


class Desk:
    """A folder with a data file, an empty home, and the environment that leads to the server."""

    def __init__(self, folder: Path, server: ChatServer, lines: int, engine: str = "local") -> None:
        self.folder, self.server, self.lines, self.engine = folder, server, lines, engine
        rows = [{"question": f"Question {i}?", "statements": STATEMENTS} for i in range(lines)]
        (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.environment = {**os.environ, **new_home(folder / "home"), "OPENAI_BASE_URL": server.base_url}
        self.environment |= {"OPENAI_API_KEY": KEY, "MODEL_TIMEOUT_S": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program."""
        command = [sys.executable, str(PROJECT / "batch.py"), *arguments, *self._engine(arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str, limit_s: float = 120) -> tuple[int, str]:
        """Run the program to its end; return its exit code and all that it printed."""
        running = self.start(*arguments)
        printed, _ = running.communicate(timeout=limit_s)
        return running.returncode, printed

    def run_here(self, *arguments: str) -> tuple[int, str]:
        """Do the same in this process, in less time; where signals, limits or imports matter, use `run`."""
        before, printed = os.getcwd(), io.StringIO()
        with patch.dict(os.environ, self.environment), redirect_stdout(printed), redirect_stderr(printed):
            os.chdir(self.folder)
            try:
                code = batch.main([*arguments, *self._engine(arguments)])
            except SystemExit as refused:  # argparse's
                code = int(str(refused.code))
            finally:
                os.chdir(before)
        return code, printed.getvalue()

    def finish(self, *arguments: str) -> tuple[int, str]:
        """Run to the end, in this process where that can be: promptflow reads its home only once in a process."""
        return self.run(*arguments) if self.engine == "promptflow" else self.run_here("--quiet", *arguments)

    def rows(self, out: str = "out") -> list[dict[str, Any]]:
        """Return the details as plain JSON."""
        return [plain(row) for row in read_rows(self.folder / out)]

    def metrics(self, out: str = "out") -> dict[str, Any]:
        """Return the metrics."""
        figures: dict[str, Any] = json.loads((self.folder / out / "metrics.json").read_text())
        return figures

    def statuses(self) -> Counter[str]:
        """Return how many of promptflow's runs have which status."""
        database = Path(self.environment["PF_HOME_DIRECTORY"]) / "pf.sqlite"
        if not database.exists():
            return Counter()
        with closing(sqlite3.connect(database)) as connection:
            return Counter(status for (status,) in connection.execute("select status from run_info"))

    def _engine(self, arguments: Sequence[str]) -> Sequence[str]:
        return () if "--engine" in arguments else ("--engine", self.engine)

    def check_complete(self) -> None:
        """Assert that the files are those of an undisturbed run."""
        rows, lines = self.rows(), self.lines
        assert [row["answer"] for row in rows] == [f"Re: Question {i}?" for i in range(lines)]
        assert {verdict["score"] for row in rows for verdict in row["verdicts"].values()} == {4}
        figures = self.metrics()
        assert [figures[name] for name in ("total", "answered", "judged", "failed")] == [lines, lines, lines, 0]
        assert (figures["scored_short"], figures["unscored_short"]) == (lines, 0)

    def check_paid_once(self, lost_lines: int) -> None:
        """Assert that only what was under way was asked for again: an answer, or the verdicts of both statements."""
        twice = {text: count for text, count in self._asked_for().items() if count > 1}
        assert len(twice) <= 2 * lost_lines, twice

    def _asked_for(self) -> Counter[str]:
        """Return how often each text was sent, the judge's marks taken out."""
        texts = (str(seen.messages[-1]["content"]) for seen in self.server.requests)
        return Counter(" ".join(line for line in text.split("\n") if not line.startswith("<")) for text in texts)
