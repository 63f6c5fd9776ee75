"""How many messages of a history fit in a token budget."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, str]
ROLES = ("system", "user", "assistant")


async def keep_newest(history: list[Any], cost: Callable[[Message], Awaitable[int]], budget: int) -> list[Message]:
    """Return the longest tail of `history` that costs at most `budget` tokens.

    history: oldest first, each {"role": "system" | "user" | "assistant", "content": text}; not modified.
    cost: tokens of one message in the prompt; called for the kept ones and one more, however long the history is.
    A tail that would begin with an assistant's reply, its question dropped, begins after that reply.
    Raises ValueError or TypeError for a message it looks at that is none; older ones are not sent, nor looked at.
    Source: the tutorial drops the oldest messages first too, counting the whole prompt anew for each.
    """
    start = len(history)
    while start > 0 and (budget := budget - await cost(checked(history[start - 1], start - 1))) >= 0:
        start -= 1
    kept: list[Message] = history[start:]
    return without_orphans(kept) if start > 0 else kept


def without_orphans(tail: list[Message]) -> list[Message]:
    """Return `tail` from its first question on, with the system messages just before that."""
    spoken = (i for i, message in enumerate(tail) if message["role"] != "system")
    first = next(spoken, None)
    if first is None or tail[first]["role"] == "user":
        return tail
    return without_orphans(tail[first + 1 :])


def checked(message: Any, position: int) -> Message:
    """Return `message` if it is one, else say what is wrong with it; its text is not quoted."""
    where = f"chat_history[{position}]"
    if not isinstance(message, dict):
        raise TypeError(f"{where} must be an object with role and content, got {type(message).__name__}")
    if (role := message.get("role")) not in ROLES:
        raise ValueError(f"{where}: role must be one of {', '.join(ROLES)}, got {shown(role)}")
    check_text(message.get("content"), f"{where}: content")
    return {"role": role, "content": message["content"]}


def check_text(text: Any, where: str) -> None:
    """Raise where `text` is none, or has half a surrogate pair, which UTF-8 cannot carry."""
    if not isinstance(text, str):
        raise TypeError(f"{where} must be text, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: character {error.start} is half of a surrogate pair; decode the text anew"
        ) from None


def read_history(chat_history: Any) -> list[Any]:
    """Return the history as a list: None, and the blank or NaN that tables put where a line has none, are empty."""
    if chat_history is None or chat_history == "" or (isinstance(chat_history, float) and math.isnan(chat_history)):
        return []
    if isinstance(chat_history, str):  # a cell of a CSV file
        try:
            chat_history = json.loads(chat_history)
        except json.JSONDecodeError as error:
            raise ValueError(f"chat_history must be a list of messages, got text that is no JSON ({error})") from None
    if not isinstance(chat_history, (list, tuple)):
        raise TypeError(f"chat_history must be a list of messages, got {type(chat_history).__name__}")
    return list(chat_history)


def shown(value: Any, limit: int = 40) -> str:
    """Return the start of `value` as Python writes it."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
