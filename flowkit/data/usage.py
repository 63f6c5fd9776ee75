"""How many tokens a request took: as the service counts them or, where it does not say, as we do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowkit.data.records import Tokens
from flowkit.prompt.budget import count_usage
from flowkit.prompt.history import Message


async def tokens_of(usage: Mapping[str, int] | None, model_name: str, messages: list[Message], text: str) -> Tokens:
    """Return the tokens of a request. usage: what the service says. messages: what was sent. text: what came back."""
    counted = usage or await count_usage(model_name, messages, text)
    by = "service" if usage else "vocabulary"
    return Tokens(counted.get("prompt_tokens"), counted.get("completion_tokens"), by)


def added(several: Sequence[Tokens]) -> Tokens | None:
    """Return the tokens of several requests together: None of none, and a number None where one is not known."""
    if not several:
        return None
    by = "service" if all(each.counted_by == "service" for each in several) else "vocabulary"
    return Tokens(_sum([each.prompt for each in several]), _sum([each.completion for each in several]), by)


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
