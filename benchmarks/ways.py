"""The three ways to stream an answer, behind the same call; each imports its own libraries, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from benchmarks.tutorial_way import TutorialFlow

Message = dict[str, str]
Ask = Callable[[str, list[Message]], AsyncIterator[str]]
WayName = Literal["tutorial", "bare", "ours"]

MODEL, KEY = "gpt-4o", "no-key-needed"
QUESTION = "What is Prompt flow?"
HISTORY: list[Message] = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello, how can I help you?"},
]


def tutorial(base_url: str, max_total_token: int = 1100) -> TutorialFlow:
    """Build the tutorial's flow, with the vocabularies it counts with: tiktoken would download them."""
    from promptflow.core import OpenAIModelConfiguration

    from benchmarks.tutorial_way import TutorialFlow
    from flowkit.tokens import load_vocabulary

    load_vocabulary("gpt-4")  # promptflow counts every model's tokens with it
    load_vocabulary(MODEL)  # and loads the model's own besides
    return TutorialFlow(OpenAIModelConfiguration(model=MODEL, base_url=base_url, api_key=KEY), max_total_token)


def ours(base_url: str) -> Ask:
    """Build flow.py's flow."""
    from flow import ChatFlow

    flow: Any = ChatFlow({"model": MODEL, "base_url": base_url, "api_key": KEY})
    return flow  # type: ignore[no-any-return]


@asynccontextmanager
async def bare(base_url: str) -> AsyncIterator[Ask]:
    """Open openai's client by itself: chat.prompty's parameters, but no prompt file, no budget and no trace."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    system = {"role": "system", "content": "You are a helpful assistant."}
    async with AsyncOpenAI(base_url=base_url, api_key=KEY, http_client=DefaultAioHttpClient()) as client:

        async def ask(question: str, chat_history: list[Message]) -> AsyncIterator[str]:
            messages: Any = [system, *chat_history, {"role": "user", "content": question}]
            async with await client.chat.completions.create(
                model=MODEL, messages=messages, temperature=0.2, max_tokens=1024, stream=True
            ) as chunks:
                async for chunk in chunks:
                    if chunk.choices and (piece := chunk.choices[0].delta.content):
                        yield piece

        yield ask


@asynccontextmanager
async def opened(way: WayName, base_url: str) -> AsyncIterator[Ask]:
    """Build a way by its name; the flows look after their clients themselves."""
    if way == "bare":
        async with bare(base_url) as ask:
            yield ask
    else:
        yield tutorial(base_url) if way == "tutorial" else ours(base_url)
