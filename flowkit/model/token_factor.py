"""How many tokens a model counts for each that we count: learned, per model and service, from what the service reports.

OpenAI's vocabularies are exact for OpenAI's models only. SmolLM2 takes 1.05 times as many tokens for English, 1.99 for
Chinese and 3.85 for Hindi. The budget multiplies its count by this factor, so that a prompt that fits here fits there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from flowkit.model.configuration import Model
from flowkit.prompt.budget import prompt_tokens
from flowkit.prompt.history import Message
from flowkit.prompt.tokens import knows

# A chat template adds some 10 to 30 tokens to any prompt; to a short one they would look like a large factor.
SHORTEST_PROMPT = 100  # tokens, as we count them
REMEMBERED = 20  # prompts; the factor is the highest of them, and one strange report is forgotten in time
HIGHEST = 8.0
MOST_MODELS = 64

log = logging.getLogger(__name__)
_seen: dict[
    tuple[str | None, str], tuple[float, ...]
] = {}  # bounded by MOST_MODELS; new tuples, so threads may share it


def factor_of(model: Model) -> float:
    """Return the factor, from 1 to 8: the highest of the newest 20 prompts; 1 for OpenAI's models and before any."""
    return max(_seen.get(_key(model), ()), default=1.0)


async def learn_factor(model: Model, messages: list[Message], usage: Mapping[str, int] | None) -> None:
    """Learn from an answer: `messages` were sent, and `usage["prompt_tokens"]` is what the service counted.

    Nothing is learned for OpenAI's models, from a prompt of fewer than 100 tokens and from a service that does not say.
    """
    said = (usage or {}).get("prompt_tokens", 0)
    if said < SHORTEST_PROMPT or knows(model.name):
        return  # counting takes time, so not where there is nothing to learn
    counted = await prompt_tokens(messages, model.name)
    if counted < SHORTEST_PROMPT:
        return
    factor = min(max(said / counted, 1.0), HIGHEST)
    key = _key(model)
    if key not in _seen:
        log.info("%s counts %.2f tokens for each of ours: %d for %d", model.name, said / counted, said, counted)
        while len(_seen) >= MOST_MODELS:
            _seen.pop(next(iter(_seen)), None)
    _seen[key] = (*_seen.get(key, ()), factor)[-REMEMBERED:]


def _key(model: Model) -> tuple[str | None, str]:
    return model.service.base_url, model.name
