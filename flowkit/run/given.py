"""The lines of a run before anything is asked: the data, the statements of a checklist, answers that exist."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from flowkit.base.errors import BadInputError
from flowkit.base.scale import Scale
from flowkit.base.text import shown
from flowkit.bridge import outputs
from flowkit.data.checklist import Checklist, as_text, read_checklist
from flowkit.data.lines import read_lines
from flowkit.data.records import Answer, Line, Row
from flowkit.data.rows import read_rows
from flowkit.prompt.prompty import Prompt
from flowkit.run.keys import asked_key
from flowkit.run.options import RunOptions

MOST_GROUPS = 1000  # in a report
AT_ONCE = 100  # lines in memory, where the data is not


def lines_for(options: RunOptions, prompt: Prompt | None = None) -> Iterable[Line]:
    """Return the lines of a run: a list, with Ray something that reads them each time it is looked at.

    prompt: of the answers, whose own inputs are columns. Raises BadInputError for the first that cannot be used; with
    Ray when it is reached.
    """
    if options.engine == "ray":
        return StoredLines(options, prompt)
    return list(_finished(read_lines(Path(options.data), prompt, checklist_of(options)), options))


@dataclass(frozen=True)
class StoredLines:
    """The lines of a run whose data is wherever Ray reads."""

    options: RunOptions
    prompt: Prompt | None

    def __iter__(self) -> Iterator[Line]:
        from flowkit.data import storage  # pyarrow comes with Ray

        return _finished(storage.read(self.options.data, self.prompt, checklist_of(self.options)), self.options)


def checklist_of(options: RunOptions) -> Checklist:
    """Return the statements for all lines, none without a checklist."""
    return read_checklist(options.checklist) if options.checklist else {}


class Seen:
    """What was seen of the lines of a run on their way.

    lines: how many; given: how many of them have an answer. scales: of the statements by name, in order of first
    appearance.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._values, self._columns = set[str](), dict[str, None]()
        self.lines = self.given = 0
        self.scales = dict[str, Scale]()

    @property
    def asks(self) -> bool:
        """Whether a line needs an answer."""
        return self.given < self.lines

    @property
    def notices(self) -> list[str]:
        """Say how many lines have an answer; nothing where none has."""
        missing = self.lines - self.given
        return [f"answers: {self.given:,} of {self.lines:,} exist, {missing:,} to ask for"] if self.given else []

    @property
    def findings(self) -> list[str]:
        """Say which statements of the checklist are for no line."""
        idle = (
            []
            if self._options.only_answer
            else [name for name in checklist_of(self._options) if name not in self.scales]
        )
        return [f"statement {shown(name)} of {self._options.checklist}: its `when` fits no line" for name in idle]

    def watch(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Pass the lines on. Raises BadInputError where they cannot be grouped as the options say."""
        by = self._options.by
        for line in lines:
            self.lines += 1
            self.given += line.answer is not None
            for name, (_, scale) in line.asked().items():
                self.scales.setdefault(name, scale)
            if by is not None:
                self._columns.update(dict.fromkeys(line.extra))
                self._values.add(as_text(line.extra.get(by)) or "")
                if len(self._values) > MOST_GROUPS:
                    raise BadInputError(f"--by {by}: more than {MOST_GROUPS} values; group by a column that has fewer")
            yield line
        if by is not None and by not in self._columns:
            known = ", ".join(map(shown, self._columns)) or "none"
            raise BadInputError(f"--by {by}: no line has such a column; the columns to group by are {known}")


class EarlierAnswers:
    """The answers of an earlier run, each for one line that asks the same.

    Of several such lines each gets one, in the order of their statements and only then of their places, so that
    another order of the data changes nothing.
    name: what rows say of where an answer is from. lines: with their answers.
    kept: what the earlier run has kept of what a line asks, beside its question.
    """

    def __init__(self, name: str, lines: Iterable[Line], kept: Collection[str] = ("chat_history", "inputs")) -> None:
        self._name, self._kept = name, kept
        self._waiting = defaultdict[str, deque[Answer]](deque)
        for line in sorted(lines, key=_order):
            if line.answer is not None:
                self._waiting[self._asked(line)].append(line.answer)

    @classmethod
    def of(cls, run: str) -> EarlierAnswers:
        """Read them from the folder of a run of ours, or from a promptflow run, by its name or its folder."""
        if folder := outputs.folder_of(run):
            return cls(f"run {folder.name}", outputs.answered_lines(folder), ["chat_history"])
        if not Path(run).is_dir():
            raise BadInputError(f"--answers-from {run}: neither the folder of a run, nor the name of a promptflow run")
        rows = read_rows(Path(run))
        kept = ["inputs"] if any(row.chat_history is None for row in rows) else ["chat_history", "inputs"]
        return cls(f"run {Path(run).absolute().name}", map(_line_of, rows), kept)

    def fill(self, lines: list[Line]) -> list[Line]:
        """Return the lines, in order, with the answers that there are for them.

        Raises BadInputError where a line has one of its own.
        """
        filled = {id(line): self._answered(line) for line in sorted(lines, key=_order)}
        return [filled[id(line)] for line in lines]

    def _answered(self, line: Line) -> Line:
        if line.answer is not None:
            raise BadInputError(f"line {line.number} has an answer of its own; leave out --answers-from, or the column")
        waiting = self._waiting[self._asked(line)]
        return replace(line, answer=waiting.popleft(), answered_from=self._name) if waiting else line

    def _asked(self, line: Line) -> str:
        history = line.chat_history if "chat_history" in self._kept else []
        return asked_key(replace(line, chat_history=history, inputs=line.inputs if "inputs" in self._kept else {}))


def _finished(lines: Iterable[Line], options: RunOptions) -> Iterator[Line]:
    earlier = EarlierAnswers.of(options.answers_from) if options.answers_from else None
    rest = iter(lines)
    while some := list(islice(rest, AT_ONCE if options.engine == "ray" else None)):
        for line in earlier.fill(some) if earlier else some:
            yield replace(line, statements={}, rules={}) if options.only_answer else line


def _order(line: Line) -> tuple[list[tuple[str, str]], int]:
    return sorted(line.statements.items()), line.number


def _line_of(row: Row) -> Line:
    answer = None
    if row.answer is not None:
        answer = Answer(row.answer, row.finish_reason, row.history_dropped, model=row.model, refused=row.refused)
    return Line(row.line, row.question, row.chat_history or [], row.statements, inputs=row.inputs or {}, answer=answer)
