"""How many messages of a history fit in a token budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from flowkit.base.json_text import JsonObject, read_json
from flowkit.base.text import check_text, is_nothing, joined_pairs, shown

Message = dict[str, str]
ROLES = ("system", "user", "assistant")
TEXT_PARTS = ("text", "input_text", "output_text")  # as OpenAI's two APIs call them


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
    """Return role and content of `message` if it is one, else say what is wrong with it; its text is not quoted.

    The role may be written in capitals, or with blanks around it; developer is OpenAI's newer word for system. The
    message may be an object of the openai library, its content a list of text parts.
    """
    where = f"chat_history[{position}]"
    if hasattr(message, "model_dump"):
        message = message.model_dump()
    if not isinstance(message, Mapping):
        raise TypeError(f"{where} must be an object with role and content, got {type(message).__name__}")
    role = message.get("role")
    known = role.strip().lower() if isinstance(role, str) else None
    if known == "developer":
        known = "system"
    if known not in ROLES:
        raise ValueError(f"{where}: role must be one of {', '.join(ROLES)}, got {shown(role)}")
    return {"role": known, "content": _content(message.get("content"), f"{where}: content")}


def _content(content: Any, where: str) -> str:
    """Return the text of a message, one text or a list of parts that are joined. Raises where a part is no text."""
    if not isinstance(content, (list, tuple)):
        check_text(content, where)
        return str(content)
    texts = []
    for place, part in enumerate(content):
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        if kind not in TEXT_PARTS:
            raise TypeError(
                f"{where} must be text, got list; its part {place} is {shown(kind)}, not text: leave it out"
            )
        check_text(part.get("text"), f"{where}[{place}]: text")
        texts.append(part["text"])
    return "".join(texts)


def read_history(chat_history: Any) -> list[Any]:
    """Return the history as a list, from a list, a tuple, an array of numpy or JSON text.

    None is an empty one, and so is what tables and files put where a line has none (`is_nothing`). The turns of
    promptflow's chat page become two messages each. Raises ValueError or TypeError that says what came instead.
    """
    if hasattr(chat_history, "tolist"):  # an array or a number of numpy, a column of pandas
        chat_history = chat_history.tolist()
    if is_nothing(chat_history):
        return []
    if isinstance(chat_history, str):  # a cell of a CSV file
        try:
            chat_history = read_json(chat_history)
        except ValueError as error:
            raise ValueError(f"chat_history must be a list of messages, got text that is no JSON ({error})") from None
    if not isinstance(chat_history, (list, tuple)):
        raise TypeError(f"chat_history must be a list of messages, got {type(chat_history).__name__}")
    history = chat_history if isinstance(chat_history, list) else list(chat_history)  # a copy takes as long as it is
    if history and isinstance(history[-1], dict) and {"inputs", "outputs"} <= set(history[-1]):
        return [message for position, turn in enumerate(history) for message in _turn(turn, position)]
    return history


def _turn(turn: Any, position: int) -> list[Any]:
    """Return the two messages of a turn as promptflow's chat page keeps it, {"inputs": {...}, "outputs": {...}}."""
    inputs, outputs = (turn.get(side) if isinstance(turn, dict) else None for side in ("inputs", "outputs"))
    if not isinstance(inputs, dict) or not isinstance(outputs, dict):
        raise ValueError("chat_history: expected a question and its answer in every turn of promptflow's form")
    where = f"chat_history[{position}]"
    question = _chosen(inputs, ("question",), f"{where}: inputs")
    answer = _characters(outputs)
    if answer is None:
        answer = _chosen(outputs, ("answer", "output"), f"{where}: outputs")
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _characters(outputs: JsonObject) -> str | None:
    """Return the answer that the page has spread over outputs "0", "1", ..., a character each; None where it has not.

    Characters beyond U+FFFF take two of these outputs. An answer without characters leaves no output at all.
    """
    found: list[str] = []
    while isinstance(one := outputs.get(str(len(found))), str) and len(one) == 1:
        found.append(one)
    return joined_pairs("".join(found)) if found or not outputs else None


def _chosen(values: JsonObject, names: tuple[str, ...], where: str) -> Any:
    """Return the first of `names` that is there, else the only text."""
    for name in names:
        if name in values:
            return values[name]
    texts = [value for value in values.values() if isinstance(value, str)]
    if len(texts) != 1:
        listed = ", ".join(map(shown, values)) or "nothing"
        raise ValueError(f"{where}: expected {' or '.join(map(repr, names))}, or one text; got {listed}")
    return texts[0]
