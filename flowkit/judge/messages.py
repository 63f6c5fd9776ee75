"""The judge's messages: made of the prompt, an answer, a statement and the context, within a token budget."""

from __future__ import annotations

import json
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from flowkit.base.json_text import JsonObject
from flowkit.base.scale import FIVE, Scale
from flowkit.judge.context import NOTHING_ELSE, Context
from flowkit.prompt.budget import newest_that_fit, prompt_tokens, text_tokens
from flowkit.prompt.history import Message, keep_newest
from flowkit.prompt.prompty import Prompt

COUNTED_MARK = "0a1b2c3d4e5f6a7b"  # takes as many tokens as a mark can: one for each character
NEARLY = 20  # characters
MESSAGE_TOKENS = 10  # more than a message takes beside its text
PASS_OR_FAIL = "pass_or_fail"  # the prompt's input that is true where the judge says true or false
NO_TEXT = {"role": "assistant", "content": ""}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What the judge is asked about, and by which prompt."""

    prompt: Prompt
    answer: str
    statement: str
    examples: Sequence[JsonObject] = ()
    scale: Scale = FIVE

    def messages(self, context: Context = NOTHING_ELSE, mark: str | None = None) -> list[Message]:
        """Return what the judge is sent first, with a mark that is new each time, so that no text closes its block."""
        inputs = {
            "answer": self.answer,
            "statement": self.statement,
            "examples": [_quotable(self._on_the_scale(example)) for example in self.examples],
            "mark": mark or secrets.token_hex(8),
            **({} if self.scale is FIVE else {PASS_OR_FAIL: True}),
        }
        shown = {name: value or "" for name, value in context.named().items() if name in self.prompt.inputs}
        return self.prompt.messages(**inputs, **shown)

    def _on_the_scale(self, example: JsonObject) -> JsonObject:
        """Return an example, whose score is from 1 to 5: what passes there, passes."""
        if self.scale is FIVE:
            return example
        passes = example["score"] >= FIVE.pass_mark
        return {**example, "score": self.scale.written(self.scale.highest if passes else self.scale.lowest)}

    def foreign_explanations(self) -> list[str]:
        """Return the explanations that belong to other answers: those of the examples, but for what is an example."""
        return [
            str(example.get("explanation", ""))
            for example in self.examples
            if (example.get("answer"), example.get("statement")) != (self.answer, self.statement)
        ]


def check_scales(prompt: Prompt, scales: Iterable[Scale]) -> None:
    """Raise ValueError where a statement is to pass or fail, and the prompt cannot ask for that."""
    if PASS_OR_FAIL not in prompt.inputs and any(scale is not FIVE for scale in scales):
        raise ValueError(f"{prompt.file}: a statement with scale: pass needs the input {PASS_OR_FAIL} in the prompt")


async def fitted(asked: Asked, context: Context, model_name: str, max_total_token: int, factor: float) -> Context:
    """Return what of the context fits: without the oldest messages first, then without the reference's end.

    max_total_token: the prompt and the longest reply together. The answer, the statement and the question are never
    cut; where they are too long by themselves, they are sent all the same, with a warning.
    factor: how many tokens the service counts for each that we count, at least 1.
    """
    room = math.floor((max_total_token - asked.prompt.max_tokens) / factor)

    async def left(shown: Context) -> int:
        """Return the tokens that such a prompt leaves, below 0 where it does not fit."""
        return room - await prompt_tokens(asked.messages(shown, COUNTED_MARK), model_name)

    if _most_tokens(asked.messages(context)) <= room or await left(context) >= 0:
        return context
    messages = context.chat_history
    context = replace(context, chat_history=[], history_dropped=len(messages))
    if (free := await left(context)) >= 0:
        one, two = [free - await left(replace(context, chat_history=[NO_TEXT] * count)) for count in (1, 2)]
        around = two - one  # what the prompt puts around each message; the rest of `one` stands before the first

        async def cost(message: Message) -> int:
            return around + await text_tokens(message["content"], model_name)

        async def fits(tail: list[Message]) -> bool:
            return await left(replace(context, chat_history=tail)) >= 0

        kept = await keep_newest(messages, cost, free - (one - around))
        if not await fits(kept):  # the prompt writes them twice, or numbers them
            kept = await newest_that_fit(kept, fits)
        return replace(context, chat_history=kept, history_dropped=len(messages) - len(kept))
    context = await _with_start_of_reference(context, left)
    if await left(context) < 0:
        log.warning("an answer with its statement and question takes more than the judge's %d tokens", max_total_token)
    return context


async def _with_start_of_reference(context: Context, left: Callable[[Context], Awaitable[int]]) -> Context:
    """Return it with the longest start of the reference that fits, to within a few characters; found by halves."""
    text, fits, too_long = context.reference or "", 0, len(context.reference or "")

    def cut(length: int) -> Context:
        return replace(context, reference=text[:length] or None, reference_dropped=len(text) - length)

    while too_long - fits > NEARLY:
        middle = (fits + too_long) // 2
        if await left(cut(middle)) >= 0:
            fits = middle
        else:
            too_long = middle
    return cut(fits)


def _most_tokens(messages: list[Message]) -> int:
    """Return more tokens than the messages can have, without counting: a token is a byte at least."""
    return sum(len(message["content"].encode()) + MESSAGE_TOKENS for message in messages)


def _quotable(example: JsonObject) -> JsonObject:
    """Return the example with texts that can neither end the quotation marks around them nor begin a new line."""
    return {
        name: json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else value
        for name, value in example.items()
    }
