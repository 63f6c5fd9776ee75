"""How many messages of a history fit in a token budget."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from flowkit.base.text import check_text, shown

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
    kept: list[Message] = []
    for position in reversed(range(len(history))):
        message = checked(history[position], position)
        budget -= await cost(message)
        if budget < 0:
            return without_orphans(kept[::-1])
        kept.append(message)
    return kept[::-1]


def without_orphans(tail: list[Message]) -> list[Message]:
    """Return `tail` from its first question on, with the system messages just before that."""
    first = next((i for i, message in enumerate(tail) if message["role"] == "user"), len(tail))
    while first > 0 and tail[first - 1]["role"] == "system":
        first -= 1
    return tail[first:]


def checked(message: Any, position: int) -> Message:
    """Return role and content of `message` if it is one, else say what is wrong with it; its text is not quoted."""
    where = f"chat_history[{position}]"
    if not isinstance(message, dict):
        raise TypeError(f"{where} must be an object with role and content, got {type(message).__name__}")
    if (role := message.get("role")) not in ROLES:
        raise ValueError(f"{where}: role must be one of {', '.join(ROLES)}, got {shown(role)}")
    check_text(message.get("content"), f"{where}: content")
    return {"role": ROLES[ROLES.index(role)], "content": message["content"]}  # plain text, also for a text enum


def read_history(chat_history: Any) -> list[Any]:
    """Return the history as a list: None, and the blank or NaN that tables put where a line has none, are empty."""
    if chat_history is None or chat_history == "" or (isinstance(chat_history, float) and math.isnan(chat_history)):
        return []
    if isinstance(chat_history, str):  # a cell of a CSV file
        try:
            chat_history = json.loads(chat_history)
        except (ValueError, RecursionError) as error:  # no JSON, a number of 5000 digits, [[[[...
            raise ValueError(f"chat_history must be a list of messages, got text that is no JSON ({error})") from None
    if not isinstance(chat_history, (list, tuple)):
        raise TypeError(f"chat_history must be a list of messages, got {type(chat_history).__name__}")
    history = chat_history if isinstance(chat_history, list) else list(chat_history)  # a copy takes as long as it is
    if history and isinstance(history[-1], dict) and {"inputs", "outputs"} <= set(history[-1]):
        return [message for turn in history for message in _turn(turn)]
    return history


def _turn(turn: Any) -> list[Any]:
    """Return the two messages of a turn as promptflow's chat page keeps it, {"inputs": {"question"}, "outputs": {}}.

    The page spreads a streamed answer over one output for each character.
    """
    try:
        answer = "".join(turn["outputs"].values())
        return [{"role": "user", "content": turn["inputs"]["question"]}, {"role": "assistant", "content": answer}]
    except (KeyError, TypeError, AttributeError):
        raise ValueError(
            "chat_history: expected a question and its answer in every turn of promptflow's form"
        ) from None
