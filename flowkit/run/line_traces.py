"""What happens to a line as one tree of spans: its answer, the request for that, its verdicts with theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opentelemetry.trace import NonRecordingSpan, Span

from flowkit.base import genai, tracing
from flowkit.data.records import Row
from flowkit.run.keys import Task


class LineTraces:
    """The trees of all lines; untraced, they cost nothing. row_of: returns what has become of a line so far."""

    def __init__(self, row_of: Callable[[Task], Row]) -> None:
        self._row_of = row_of
        self._roots: dict[str, Span] = {}

    @contextmanager
    def of(self, task: Task) -> Iterator[None]:
        """Record the block as the tree of that line, or as a part of it where there is one already.

        The span that it opens stands for the answer: it gets the verdicts that are new as events.
        """
        line = task.line
        inputs = {"question": line.question, "chat_history": line.chat_history, "statements": line.statements}
        with tracing.span("line", "Function", inputs, self._roots.get(task.key)) as span, tracing.current(span):
            if not span.is_recording():
                yield
                return
            self._roots.setdefault(task.key, NonRecordingSpan(span.get_span_context()))
            span.set_attribute("line_number", line.number)
            before = self._row_of(task).verdicts or {}
            yield
            row = self._row_of(task)
            tracing.record_output(span, row.answer)
            for name, verdict in (row.verdicts or {}).items():
                if name not in before:
                    said = verdict.score, verdict.explanation, verdict.read_by
                    genai.record_evaluation(span, name, *said, row.scale(name))
            if row.error:
                tracing.record_failure(span, row.error)
