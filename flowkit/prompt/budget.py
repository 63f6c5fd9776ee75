"""A conversation's messages within a token budget."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from opentelemetry.trace import Span

from flowkit.base import tracing
from flowkit.base.start_gate import in_turn
from flowkit.base.text import check_text
from flowkit.prompt.history import Message, keep_newest, read_history, without_orphans
from flowkit.prompt.prompty import Prompt
from flowkit.prompt.tokens import count_tokens

# Source: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken, as in promptflow's own estimate.
TOKENS_PER_MESSAGE = 3
TOKENS_BEFORE_REPLY = 3
LONG_TEXT = 20_000  # characters; counting more would hold up the event loop for milliseconds

log = logging.getLogger(__name__)


async def fitted_messages(
    prompt: Prompt,
    model_name: str,
    question: str,
    chat_history: Any,
    max_total_token: int,
    parent: Span | None = None,
    factor: float = 1.0,
    inputs: Mapping[str, Any] | None = None,
) -> tuple[list[Message], int]:
    """Render the prompt with `question` and the newest messages of the history that leave room for the longest reply.

    Returns the messages, and how many of the history, the oldest, were dropped.

    max_total_token: prompt and the prompt's `max_tokens` together, as in the tutorial. A question that is too long
    by itself is sent all the same, with a warning that gives both numbers.
    factor: how many tokens the service counts for each that we count, at least 1; for a model whose vocabulary is
    not here (`flowkit.model.token_factor` learns it). The prompt's `max_tokens` are the model's own: they stay.
    inputs: of the prompt's own, by their names.
    Raises TypeError or ValueError for a question that is not text, for a history that is none, for inputs that the
    prompt does not have and for those that it misses.
    """
    await in_turn()
    check_text(question, "question")
    history = read_history(prompt.defaults.get("chat_history") if chat_history is None else chat_history)
    given = {"question": question, **(inputs or {})}
    no_history: dict[str, list[Message]] = {"chat_history": []} if "chat_history" in prompt.inputs else {}
    with tracing.span(prompt.name, "Function", {**given, "max_total_token": max_total_token}, parent) as span:

        async def taken(messages: list[Message]) -> int:
            return math.ceil(await prompt_tokens(messages, model_name) * factor) + prompt.max_tokens

        messages = prompt.messages(**given, **no_history)
        alone = await taken(messages)
        if alone > max_total_token:
            log.warning("the question takes %d tokens, the budget is %d; sent without history", alone, max_total_token)

        async def cost(message: Message) -> int:
            return math.ceil(await message_tokens(message, model_name) * factor)

        kept = await keep_newest(history, cost, max_total_token - alone)
        if kept:
            without, messages = messages, prompt.messages(**given, chat_history=kept)
            # A template may write text around each message, or the history twice.
            if _adds_text(messages, [*without, *kept]) and await taken(messages) > max_total_token:

                async def fits(tail: list[Message]) -> bool:
                    return await taken(prompt.messages(**given, chat_history=tail)) <= max_total_token

                kept = await newest_that_fit(kept, fits)
                messages = prompt.messages(**given, chat_history=kept) if kept else without
        tracing.record_prompt(span, prompt.template, {**given, "chat_history": kept})
        tracing.record_output(span, messages)
    return messages, len(history) - len(kept)


async def newest_that_fit(history: list[Message], fits: Callable[[list[Message]], Awaitable[bool]]) -> list[Message]:
    """Return the longest tail of a `history` that does not fit as a whole, found by halves, for any template.

    As in `keep_newest`, a tail never begins with an assistant's reply.
    """
    count, too_many = 0, len(history)
    while too_many - count > 1:
        middle = (count + too_many) // 2
        if await fits(history[-middle:]):
            count = middle
        else:
            too_many = middle
    return without_orphans(history[len(history) - count :])


def _adds_text(messages: list[Message], expected: list[Message]) -> bool:
    """Say whether `messages` have more than the texts of `expected`, without counting tokens."""
    return len(messages) > len(expected) or _length(messages) > _length(expected)


def _length(messages: list[Message]) -> int:
    return sum(len(message["content"]) for message in messages)


async def estimate_tokens(prompt: Prompt, model_name: str, messages: list[Message]) -> int:
    """Return the tokens of `messages` and of the longest reply; promptflow's `estimate_token_count` says the same."""
    return await prompt_tokens(messages, model_name) + prompt.max_tokens


async def count_usage(model_name: str, messages: list[Message], answer: str) -> dict[str, int]:
    """Return what a service that counts tokens would say of an answer, by the vocabulary of its model."""
    prompt, completion = await prompt_tokens(messages, model_name), await text_tokens(answer, model_name)
    return {"prompt_tokens": prompt, "completion_tokens": completion}


async def prompt_tokens(messages: list[Message], model_name: str) -> int:
    """Return what OpenAI counts of `messages`, in tokens; another service's count differs (see `fitted_messages`)."""
    return sum([await message_tokens(message, model_name) for message in messages]) + TOKENS_BEFORE_REPLY


async def message_tokens(message: Message, model_name: str) -> int:
    """Return what one message adds to a prompt, in tokens."""
    content = await text_tokens(message["content"], model_name)
    return TOKENS_PER_MESSAGE + count_tokens(message["role"], model_name) + content


async def text_tokens(text: str, model_name: str) -> int:
    """Return the tokens of one text."""
    if len(text) > LONG_TEXT:
        return await asyncio.to_thread(count_tokens, text, model_name)
    return count_tokens(text, model_name)
