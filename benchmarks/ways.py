"""The three ways to stream an answer, behind the same call; each imports its own libraries, and only then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from openai import AsyncOpenAI

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
    """Build the tutorial's flow."""
    from promptflow.core import OpenAIModelConfiguration

    from benchmarks.tutorial_way import TutorialFlow

    return TutorialFlow(OpenAIModelConfiguration(model=MODEL, base_url=base_url, api_key=KEY), max_total_token)


def ours(base_url: str) -> Ask:
    """Build flow.py's flow."""
    from flow import ChatFlow

    flow: Any = ChatFlow({"model": MODEL, "base_url": base_url, "api_key": KEY})
    return flow  # type: ignore[no-any-return]


class Bare:
    """openai's client by itself: the same parameters as in our prompt files, but no prompt, no budget and no trace."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self.client = client

    async def ask(self, question: str, chat_history: list[Message]) -> AsyncIterator[str]:
        """Yield the answer in pieces."""
        system = {"role": "system", "content": "You are a helpful assistant."}
        messages: Any = [system, *chat_history, {"role": "user", "content": question}]
        async with await self.client.chat.completions.create(
            model=MODEL, messages=messages, temperature=0.2, max_tokens=1024, stream=True
        ) as chunks:
            async for chunk in chunks:
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    yield piece

    async def judge(self, instructions: str, answer: str, statement: str) -> Any:
        """Return the judge's reply, read as JSON."""
        asked = f"answer: {answer}\nstatement: {statement}"
        messages: Any = [{"role": "system", "content": instructions}, {"role": "user", "content": asked}]
        reply = await self.client.chat.completions.create(model=MODEL, messages=messages, temperature=0, max_tokens=512)
        return json.loads(reply.choices[0].message.content or "")


@asynccontextmanager
async def bare(base_url: str) -> AsyncIterator[Bare]:
    """Open openai's client."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async with AsyncOpenAI(base_url=base_url, api_key=KEY, http_client=DefaultAioHttpClient()) as client:
        yield Bare(client)


@asynccontextmanager
async def opened(way: WayName, base_url: str) -> AsyncIterator[Ask]:
    """Build a way by its name; the flows look after their clients themselves."""
    if way == "bare":
        async with bare(base_url) as client:
            yield client.ask
    else:
        flow: Any = tutorial(base_url) if way == "tutorial" else ours(base_url)
        yield flow
