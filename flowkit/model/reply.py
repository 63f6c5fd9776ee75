"""How an answer ended, and what the service said about it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from flowkit.base.json_text import JsonObject
from flowkit.base.text import clean
from flowkit.model.timing import Timing
from flowkit.prompt.history import Message

# What most services call it, and what some do.
COUNTS = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}


@dataclass
class Reply:
    """How an answer ended, filled in while it is read.

    finish_reason: "stop" for a finished answer, also where the service ends its stream without a reason; "length" or
        "content_filter" for one that was cut, in whatever words the service says so; another word of the service for
        another end; None until then.
    refused: whether the text is the service's refusal to answer and no answer. model: the one that answered, as the
        service names it; None where it does not say.
    id: the service's name of this answer. usage: tokens as the service counted them, empty where it does not say.
    reasoning, arguments: what is said where no text is: thoughts, and what a tool should get that is called; in pieces.
    format: what the service was asked for, "json_schema" or "json_object" as far as it takes them; "" for plain text.
    messages: what was sent. dropped: how many messages of the history were not, the oldest.
    """

    finish_reason: str | None = None
    refused: bool = False
    model: str | None = None
    id: str | None = None
    usage: dict[str, int] | None = None
    reasoning: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    format: str = ""
    messages: list[Message] = field(default_factory=list)
    dropped: int = 0
    timing: Timing = field(default_factory=Timing)


def note_beside(reply: Reply, message: JsonObject) -> None:
    """Note what a message without a text says elsewhere."""
    if isinstance(thought := message.get("reasoning_content") or message.get("reasoning"), str):
        reply.reasoning.append(clean(thought))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        with suppress(AttributeError):  # of what is no call
            if isinstance(arguments := call.get("function").get("arguments"), str):
                reply.arguments.append(clean(arguments))


def usage_in(frame: JsonObject) -> object:
    """Return what a chunk or a whole reply says of tokens; Groq's last chunk says it in "x_groq"."""
    inner = frame.get("x_groq")
    return frame.get("usage") or (inner.get("usage") if isinstance(inner, dict) else None)


def counts(usage: object) -> dict[str, int]:
    """Return the token counts that a service sent."""
    if not isinstance(usage, dict):
        return {}
    found = {name: usage.get(name, usage.get(other)) for name, other in COUNTS.items()}
    return {name: count for name, count in found.items() if isinstance(count, int)}
