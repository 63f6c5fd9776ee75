"""What a judge is shown beside an answer and a statement: the question, the history before it, a reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowkit.base.text import read_text
from flowkit.data.records import Line
from flowkit.prompt.history import Message, checked, read_history
from flowkit.prompt.prompty import Prompt


@dataclass(frozen=True)
class Context:
    """What else there is to show; None or empty where there is none, and then the prompt has no trace of it.

    history_dropped: how many messages of the history, the oldest, are left out for the judge's token budget.
    reference_dropped: how many characters of the reference, the last, are left out for it.
    """

    question: str | None = None
    chat_history: list[Message] = field(default_factory=list)
    reference: str | None = None
    history_dropped: int = 0
    reference_dropped: int = 0

    @classmethod
    def read(cls, question: Any = None, chat_history: Any = None, reference: Any = None) -> Context:
        """Check what somebody gives. A blank text is none, and so is what tables put where a line has none.

        Raises TypeError or ValueError for what is no text or no history.
        """
        history = read_history(chat_history)
        return cls(
            read_text(question, "question"),
            [checked(message, position) for position, message in enumerate(history)],
            read_text(reference, "reference"),
        )

    @classmethod
    def of(cls, line: Line) -> Context:
        """Return what a checked line has to show."""
        return cls(line.question if line.question.strip() else None, line.chat_history, line.reference)

    def used_by(self, prompt: Prompt) -> Context:
        """Return what of it the prompt shows: a prompt that does not use the question is not given it."""
        shown = shown_by(prompt)
        return Context(
            self.question if "question" in shown else None,
            self.chat_history if "chat_history" in shown else [],
            self.reference if "reference" in shown else None,
        )

    def named(self) -> dict[str, str | list[Message] | None]:
        """Return what there is to show, by the names of the prompt's inputs."""
        return {"question": self.question, "chat_history": self.chat_history, "reference": self.reference}

    def given(self) -> dict[str, str | list[Message]]:
        """Return the same without what there is none of."""
        return {name: value for name, value in self.named().items() if value}

    def __bool__(self) -> bool:
        return bool(self.given())


NOTHING_ELSE = Context()


def shown_by(prompt: Prompt) -> frozenset[str]:
    """Return the names of what a judge's prompt shows beside answer and statement."""
    return prompt.used.intersection(NOTHING_ELSE.named())
