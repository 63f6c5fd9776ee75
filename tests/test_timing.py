"""Times of answers: what is measured, from when, and how it is summed up."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow import ChatFlow
from flowkit.data.records import Line, Times, plain
from flowkit.model.completion import Reply
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal
from flowkit.run.keys import tasks_of
from flowkit.run.worker import LineWorker
from flowkit.scores.times import lengths, percentiles
from tests.chat_server import Answer, ChatServer
from tests.test_flow import at

HISTORY = [{"role": "user", "content": "word " * 50}, {"role": "assistant", "content": "Yes."}]


async def read(flow: ChatFlow, reply: Reply) -> str:
    return "".join([piece async for piece in flow.stream("Hello?", None, reply)])


def test_the_clock_runs_from_the_request_to_the_first_piece_and_to_the_end(server: ChatServer) -> None:
    server.usual = Answer(deltas=["a", "b", "c"], first_s=0.2, gap_s=0.1)
    reply = Reply()
    asyncio.run(read(ChatFlow(at(server)), reply))
    found = reply.timing.as_dict(completion_tokens=30)
    assert found["chunks"] == 3
    assert found["first_chunk_s"] >= 0.2
    assert found["total_s"] >= found["first_chunk_s"] + 0.2
    writing_s = found["total_s"] - found["first_chunk_s"]
    assert found["chunks_per_s"] == pytest.approx(2 / writing_s, rel=0.05)
    assert found["tokens_per_s"] == pytest.approx(20 / writing_s, rel=0.05)
    assert found["asked_at"].endswith("+00:00")


def test_waiting_for_a_turn_is_kept_apart(server: ChatServer) -> None:
    server.usual = Answer(first_s=0.3)
    replies = [Reply() for _ in range(3)]
    flow = ChatFlow({**at(server), "max_in_flight": 1})

    async def main() -> None:
        await asyncio.gather(*(read(flow, reply) for reply in replies))

    asyncio.run(main())
    found = [reply.timing.as_dict() for reply in replies]
    assert all(each["waited_s"] >= 0.3 * i for i, each in enumerate(found))
    assert found[0]["waited_s"] < found[1]["waited_s"] < found[2]["waited_s"]


def test_an_answer_in_one_piece_has_no_speed(server: ChatServer) -> None:
    server.usual = Answer(deltas=["all"])
    reply = Reply()
    asyncio.run(read(ChatFlow(at(server)), reply))
    found = reply.timing.as_dict(completion_tokens=30)
    assert (found["chunks"], found["chunks_per_s"], found["tokens_per_s"]) == (1, None, None)


@pytest.mark.parametrize(
    ("counts", "tokens"),
    [
        (True, {"prompt": 11, "completion": 3, "counted_by": "service"}),
        # 3 for each of two messages and before the reply, a role each, the system line (6), "Hello?" (2)
        (False, {"prompt": 3 * 3 + 2 + 6 + 2, "completion": 3, "counted_by": "vocabulary"}),
    ],
)
def test_a_line_keeps_what_it_took_and_how_much_history_went(
    counts: bool, tokens: dict[str, Any], server: ChatServer, tmp_path: Any
) -> None:
    server.usual = Answer(counts=counts, finish="length")
    with Journal(tmp_path / "journal.jsonl", resume=False) as journal:
        flow, line = ChatFlow(at(server)), Line(1, "Hello?", HISTORY, {})
        worker = LineWorker(flow, None, journal, Interruption(), None)
        answer = asyncio.run(worker.answer(tasks_of([line], flow)[0]))
    assert answer
    assert answer.text == "Hello there."
    assert plain(answer.tokens) == tokens
    assert (answer.finish_reason, answer.history_dropped) == ("length", 2)
    assert answer.timing
    assert answer.timing.chunks == 3


@given(st.lists(st.floats(0, 1e3), min_size=1))
def test_the_percentiles_are_numpys(values: list[float]) -> None:
    values = [float(f"{value:.3g}") for value in values]
    found = percentiles(lengths(Times("", 0.0, None, value, 1, None, None) for value in values))
    assert set(found) == {"waited_s", "total_s"}
    assert found["total_s"].p50 == pytest.approx(np.percentile(values, 50), abs=1e-4)
    assert found["total_s"].p95 == pytest.approx(np.percentile(values, 95), abs=1e-4)
