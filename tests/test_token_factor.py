"""The tokens of other makers' models: learned from what the service counts, and used by the budget."""

from __future__ import annotations

import asyncio

import pytest

from flow import ChatFlow
from flowkit.model.configuration import Model, Service
from flowkit.model.token_factor import factor_of, learn_factor
from flowkit.prompt.budget import prompt_tokens
from tests.chat_server import USAGE, ChatServer

LONG = [{"role": "user", "content": "word " * 200}]


def learned(name: str, *times: float, messages: list[dict[str, str]] = LONG, at: str = "http://x/v1") -> float:
    """Return the factor after services said that they counted so many times our tokens."""
    model = Model(name, Service(at, "a-key"))

    async def learn() -> None:
        counted = await prompt_tokens(messages, name)
        for each in times:
            await learn_factor(model, messages, {"prompt_tokens": round(counted * each)})

    asyncio.run(learn())
    return factor_of(model)


@pytest.mark.parametrize(
    ("times", "factor"),
    [((), 1), ((2,), 2), ((2, 3, 1.5), 3), ((0.5,), 1), ((100,), 8), ((5, *[2] * 20), 2)],
)
def test_the_factor_is_the_highest_of_the_newest_prompts_from_1_to_8(times: tuple[float, ...], factor: float) -> None:
    assert learned(f"unknown-{times}", *times) == pytest.approx(factor, abs=0.01)


def test_nothing_is_learned_for_openai_s_models_from_short_prompts_and_for_other_services() -> None:
    assert learned("gpt-4o-mini", 3) == 1
    assert learned("short", 3, messages=[{"role": "user", "content": "Hi?"}]) == 1
    assert learned("here", 3, at="http://a/v1") > 1
    assert learned("here", at="http://b/v1") == 1


def test_only_so_many_models_are_remembered() -> None:
    for i in range(80):
        learned(f"many-{i}", 2)
    assert learned("many-0") == 1
    assert learned("many-79") == pytest.approx(2, abs=0.01)


def test_the_budget_of_the_next_answer_uses_what_the_service_counted(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = ChatFlow({"model": "of-another-maker", "base_url": server.base_url, "api_key": "k"}, max_total_token=2000)
    history = [{"role": role, "content": "word " * 50} for _ in range(4) for role in ("user", "assistant")]

    async def ask() -> int:
        async for _ in flow.stream("What is it?", history):
            pass
        return len(server.requests[-1].messages)

    monkeypatch.setitem(USAGE, "prompt_tokens", 3000)
    first = asyncio.run(ask())
    assert factor_of(flow.model) > 2
    assert asyncio.run(ask()) < first
