"""Against a real language model behind llama.cpp's server: it stops, waits, counts and refuses as services do."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from check_list import EvalFlow
from flow import ChatFlow
from flowkit.data.rows import read_rows
from flowkit.model.completion import Reply
from flowkit.model.token_factor import factor_of
from tests import documents, programs

pytestmark = pytest.mark.llm

SERVER = documents.PROJECT / "tests" / "real_model.py"
PYTHON = Path(sys.prefix) / "llm" / "bin" / "python"
MODEL, SLOTS, SLOT_TOKENS = "smollm2-135m-instruct", 4, 2048  # as in real_model.py, which is not imported: it serves
ENDLESS = "Write a long story about a river, with many chapters."
CHINESE = [{"role": "user", "content": "巴黎是法国的首都和最大的城市" * 24}, {"role": "assistant", "content": "是的"}]


@dataclass(frozen=True)
class RealModel:
    """A running server with the model."""

    base_url: str

    @property
    def configuration(self) -> Any:
        """What the flows are given."""
        return {"model": MODEL, "base_url": self.base_url}

    def busy_slots(self) -> int:
        """Return how many answers are being written."""
        slots = programs.get_json(int(self.base_url.split(":")[2].split("/")[0]), "/slots")
        return sum(slot["is_processing"] for slot in slots)


@pytest.fixture(scope="module")
def model() -> Iterator[RealModel]:
    """Start the server."""
    if not PYTHON.exists():
        pytest.skip(f"needs a model in {PYTHON.parent.parent}: make test-llm")
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(PYTHON), str(SERVER)], **pipes) as serving:
        assert serving.stdout is not None
        try:
            yield RealModel(serving.stdout.readline().strip())
        finally:
            serving.terminate()


async def answer(flow: ChatFlow, question: str, reply: Reply | None = None, history: Any = None) -> list[str]:
    return [piece async for piece in flow.stream(question, history, reply)]


def test_an_answer_comes_in_pieces_and_says_how_it_ended(model: RealModel) -> None:
    reply = Reply()
    pieces = asyncio.run(answer(ChatFlow(model.configuration), "What is the capital of France?", reply))
    assert "Paris" in "".join(pieces)
    assert len(pieces) > 3
    assert (reply.finish_reason, reply.model) == ("stop", MODEL)
    assert reply.usage
    assert reply.usage["completion_tokens"] >= len(pieces)


def test_who_leaves_early_frees_the_slot_within_a_second(model: RealModel) -> None:
    async def leave_and_wait() -> float:
        async with aclosing(ChatFlow(model.configuration).stream(ENDLESS)) as pieces:
            await anext(pieces)
            assert await asyncio.to_thread(model.busy_slots) == 1
        left_s = time.monotonic()
        while await asyncio.to_thread(model.busy_slots):
            assert time.monotonic() < left_s + 30, "the server still writes"
            await asyncio.sleep(0.01)
        return time.monotonic() - left_s

    assert asyncio.run(leave_and_wait()) < 1


def test_sixteen_at_once_are_all_answered_on_four_slots(model: RealModel) -> None:
    async def ask_all() -> tuple[list[list[str]], int]:
        flow, most = ChatFlow(model.configuration), 0
        asking = asyncio.gather(*(answer(flow, f"Say only the number {number}.") for number in range(16)))
        while not asking.done():
            most = max(most, await asyncio.to_thread(model.busy_slots))
            await asyncio.sleep(0.01)
        return await asking, most

    answers, most = asyncio.run(ask_all())
    assert all("".join(pieces).strip() for pieces in answers)
    assert (len(answers), most) == (16, SLOTS)


def test_the_judge_keeps_to_the_schema_and_its_verdicts_are_read(model: RealModel) -> None:
    statements = {"city": "It names a city.", "long": "It is a long text."}
    verdicts = asyncio.run(EvalFlow(model.configuration).judge("Paris is the capital of France.", statements))
    for verdict in verdicts.values():
        assert verdict["score"] in (1, 2, 3, 4, 5)
        assert verdict["explanation"]
        assert verdict["read_by"] == "schema"
        assert verdict["tokens"]["counted_by"] == "service"


def test_a_question_that_does_not_fit_is_refused_in_the_services_words(model: RealModel) -> None:
    flow = ChatFlow(model.configuration, max_total_token=100_000)
    with pytest.raises(openai.BadRequestError, match=rf"exceeds the available context size \({SLOT_TOKENS} tokens\)"):
        asyncio.run(answer(flow, "river " * 2 * SLOT_TOKENS))


def test_how_many_tokens_the_model_counts_is_learned_from_its_answers(model: RealModel) -> None:
    flow = ChatFlow(model.configuration, max_total_token=SLOT_TOKENS)
    assert factor_of(flow.model) == 1
    asyncio.run(answer(flow, "Say yes.", history=CHINESE))
    assert 1.5 < factor_of(flow.model) < 3


def test_the_batch_answers_the_tutorials_lines_and_every_verdict_has_a_score_or_a_reason(
    model: RealModel, tmp_path: Path
) -> None:
    environment = programs.environment_of(tmp_path / "home", OPENAI_BASE_URL=model.base_url, OPENAI_MODEL=MODEL)
    command = [sys.executable, str(documents.PROJECT / "batch.py"), "--data", str(documents.PROJECT / "data.jsonl")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"answered by {MODEL}, judged by {MODEL}" in done.stdout
    for row in read_rows(tmp_path / "out"):
        assert row.answer
        assert row.tokens
        assert row.tokens.counted_by == "service"
        assert row.verdicts
        assert all(verdict.score in (1, 2, 3, 4, 5, None) and verdict.explanation for verdict in row.verdicts.values())
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["total"] == 3
