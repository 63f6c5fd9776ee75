"""A run never spends more than --max-cost, loses no line by it, and goes on where it stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batch
from check_list import EvalFlow
from flow import ChatFlow
from flowkit.base.errors import BadInputError
from flowkit.data.records import Line, Tokens
from flowkit.run.interruption import Interruption
from flowkit.run.journal import Journal
from flowkit.run.keys import tasks_of
from flowkit.run.local import finish_all
from flowkit.run.spending import Budget, Share
from flowkit.run.worker import LineWorker
from flowkit.scores.prices import Rate
from tests.chat_server import USAGE, Answer, ChatServer, Status
from tests.desk import Desk, healthy

LINES = 12
A_REPLY = 0.6e-6 * 800 + 0.15e-6 * 11  # USD, of gpt-4o-mini, with the usage below
LIMIT = 0.0085  # a verdict may take 0.0034 of it: enough for some ten replies, but not for all 36
RATE = Rate("m", None, prompt=1e-6, completion=1e-6)


@pytest.fixture
def desk(tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk whose model has a price and long replies."""
    server.usual = healthy
    monkeypatch.setitem(USAGE, "completion_tokens", 800)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("OPENAI_MODEL", "gpt-4o-mini")
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path, server, lines=LINES)
    desk.environment["OPENAI_MODEL"] = "gpt-4o-mini"
    return desk


def run(*arguments: object) -> int:
    return batch.main(["--quiet", *map(str, arguments)])


def paid(desk: Desk) -> float:
    """Return what the service wants for what it was asked."""
    return len(desk.server.requests) * A_REPLY


def test_with_enough_money_nothing_is_different(desk: Desk) -> None:
    desk.server.usual = lambda body: replace(healthy(body), first_s=0.5)  # long enough to meet the others
    assert run("--max-cost", 1) == 0
    desk.check_complete()
    assert desk.metrics()["cost_usd"] == pytest.approx(paid(desk))
    assert len(desk.server.requests) == 3 * LINES
    assert desk.server.most_in_flight > 4


def test_the_run_stops_before_it_costs_too_much_and_goes_on_with_more(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--max-cost", LIMIT) == 3
    printed = capsys.readouterr().out
    asked = len(desk.server.requests)
    assert 3 < asked < 3 * LINES
    assert LIMIT - 0.0035 - A_REPLY < paid(desk) <= LIMIT  # the most that a verdict may cost was left, or less
    assert {row["error"] for row in desk.rows()} <= {"not asked", None}
    assert desk.metrics()["cost_usd"] == pytest.approx(paid(desk))
    assert f"is spent, and the next request may reach --max-cost {LIMIT}; to go on, give more" in printed
    assert printed.splitlines()[-1].endswith(f"--max-cost {LIMIT} --quiet")

    assert run("--resume", "out", "--max-cost", LIMIT) == 3  # what was paid before counts
    assert len(desk.server.requests) == asked
    assert run("--resume", "out", "--max-cost", 1) == 0
    desk.check_complete()
    assert len(desk.server.requests) == 3 * LINES


def test_verdicts_without_a_score_were_paid_for_too(desk: Desk) -> None:
    desk.server.usual = lambda body: healthy(body) if body.get("stream") else Answer(deltas=["I like it."])
    assert run() == 0
    before = paid(desk)
    asked = len(desk.server.requests)
    desk.server.usual = healthy
    assert run("--resume", "out", "--max-cost", before + 0.003) == 3  # less than a verdict may cost
    assert len(desk.server.requests) == asked


def test_what_is_refused_costs_nothing(desk: Desk) -> None:
    desk.server.usual = lambda body: Status(400, "no judge today") if not body.get("stream") else healthy(body)
    assert run("--max-cost", LIMIT + 0.003) == 3  # the answers take 0.0058, and a verdict at the most 0.0034
    assert {row["error"].split(":")[0] for row in desk.rows()} == {"BadRequestError"}
    assert len(desk.server.requests) == 3 * LINES


def test_a_failed_line_is_told_as_without_a_limit(desk: Desk) -> None:
    (desk.folder / "data.jsonl").write_text(json.dumps({"question": "What?", "statements": {"a": "It is."}}) + "\n")
    desk.server.usual = Status(400, "not today")
    assert run("--max-cost", 1) == 3
    assert desk.rows()[0]["error"].startswith("BadRequestError: ")


@pytest.mark.parametrize("model", ["no-such-model", "offline-demo"])
def test_a_model_without_a_price_is_refused_before_anything_is_touched(
    desk: Desk, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUDGE_MODEL", model)
    assert run("--max-cost", 1) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("batch.py: --max-cost needs known prices; price unknown: genai-prices ")
    assert said.endswith(f"has none for {model}")
    assert desk.server.requests == []
    assert not (desk.folder / "out" / "journal.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *((["--max-cost", text], "expected an amount in USD above 0") for text in ("0", "-1", "nan", "inf", "much")),
        (["--max-cost", "1", "--engine", "ray"], "Ray's workers do not share what is spent"),
    ],
)
def test_an_amount_that_cannot_be_kept_is_refused(
    desk: Desk, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert said in capsys.readouterr().err


@pytest.mark.promptflow
@pytest.mark.slow
@pytest.mark.long
def test_promptflows_engine_keeps_to_it_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(USAGE, "completion_tokens", 800)
    code, printed = desk.run("--quiet", "--max-cost", str(LIMIT), "--engine", "promptflow")
    assert code == 3, printed
    assert "to go on, give more" in printed
    assert 3 < len(desk.server.requests) < 3 * LINES
    assert paid(desk) <= LIMIT
    assert {row["error"] for row in desk.rows()} <= {"not asked", None}
    assert desk.run("--quiet", "--resume", "out", "--max-cost", "1", "--engine", "promptflow")[0] == 0
    desk.check_complete()


# --- The budget by itself


def budget_of(limit_usd: float) -> Budget:
    configuration = {"model": "gpt-4o-mini", "base_url": "http://127.0.0.1:9/v1", "api_key": "a-key"}
    return Budget(ChatFlow(configuration), EvalFlow(configuration), limit_usd)


WHAT = Line(1, "What?", [], {})
MOST = asyncio.run(budget_of(1).for_answer(WHAT))
AN_ANSWER = MOST.reserved_usd if MOST else 0.0


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.5, 12))
def test_whatever_requests_cost_the_limit_is_kept_and_none_waits_for_ever(shares: list[float], limit: float) -> None:
    budget, sent, refused = budget_of(limit * AN_ANSWER), list[float](), 0

    async def ask(part: float) -> None:
        nonlocal refused
        if (share := await budget.for_answer(WHAT)) is None:
            refused += 1
            return
        await asyncio.sleep(0)
        assert share.most
        assert share.most.completion
        share.paid.append(Tokens(0, int(part * share.most.completion), "service"))
        share.settle()
        sent.append(part)

    async def all_of_them() -> None:
        await asyncio.wait_for(asyncio.gather(*map(ask, shares)), 30)

    asyncio.run(all_of_them())
    assert len(sent) + refused == len(shares)
    assert budget.spent_usd <= budget.limit_usd  # type: ignore[operator]
    assert budget.reserved_usd == pytest.approx(0)
    if refused:
        assert budget.spent_usd + AN_ANSWER > budget.limit_usd  # type: ignore[operator]


def test_a_request_waits_while_one_in_flight_may_cost_less_than_its_most() -> None:
    async def two() -> list[str]:
        budget, heard = budget_of(1.5 * AN_ANSWER), list[str]()
        first = await budget.for_answer(WHAT)
        second = asyncio.ensure_future(budget.for_answer(WHAT))
        await asyncio.sleep(0.01)
        heard.append("waits" if not second.done() else "went")
        assert first
        first.paid.append(Tokens(10, 10, "service"))
        first.settle()
        heard.append("went" if await second else "refused")
        return heard

    assert asyncio.run(two()) == ["waits", "went"]


@pytest.mark.parametrize(
    ("error", "costs"),
    [
        (openai.APIConnectionError(request=None), 1000e-6),  # type: ignore[arg-type]
        (TimeoutError("late"), 1000e-6),
        (RuntimeError("ours"), 1000e-6),
    ],
)
def test_what_breaks_off_counts_as_the_most_it_may_cost(error: Exception, costs: float) -> None:
    budget = budget_of(1)
    share = Share(budget, RATE, Tokens(300, 700, "vocabulary"), 1000e-6, [Tokens(1, 1, "service")])
    share.failed(error)
    share.settle()
    assert budget.spent_usd == pytest.approx(costs)


def test_a_reply_whose_tokens_are_not_told_counts_as_the_most_it_may_cost() -> None:
    budget = budget_of(1)
    Share(budget, RATE, Tokens(300, 700, "vocabulary"), 1000e-6, [Tokens(None, 5, "service")]).settle()
    assert budget.spent_usd == pytest.approx(1000e-6)


def test_who_no_longer_waits_takes_no_money() -> None:
    async def two() -> None:
        budget = budget_of(1.5 * AN_ANSWER)
        first = await budget.for_answer(WHAT)
        second, third = (asyncio.ensure_future(budget.for_answer(WHAT)) for _ in range(2))
        await asyncio.sleep(0.01)
        second.cancel()
        assert first
        first.settle()
        assert await asyncio.wait_for(third, 10)
        assert budget.reserved_usd == pytest.approx(AN_ANSWER)

    asyncio.run(two())


def test_a_stop_while_lines_wait_for_money_ends_the_run(server: ChatServer, tmp_path: Path) -> None:
    server.usual = Answer(first_s=30)
    configuration = {"model": "gpt-4o-mini", "base_url": server.base_url, "api_key": "a-key"}
    chat_flow, eval_flow, interruption = ChatFlow(configuration), EvalFlow(configuration), Interruption()
    budget = Budget(chat_flow, eval_flow, 1.5 * AN_ANSWER)
    tasks = tasks_of([Line(i, f"Question {i}?", [], {}) for i in range(5)], chat_flow)

    async def stopped(working: Callable[[], Awaitable[Any]]) -> None:
        work = asyncio.ensure_future(working())
        while not server.requests:  # noqa: ASYNC110 - the server runs in a thread
            await asyncio.sleep(0.01)
        interruption.request()
        await asyncio.wait_for(work, 20)

    with Journal(tmp_path / "journal.jsonl", resume=False) as journal:
        worker = LineWorker(chat_flow, eval_flow, journal, interruption, None, budget)
        asyncio.run(stopped(lambda: finish_all(worker, tasks, 5, lambda: None)))
        errors = [worker.row(task).error for task in tasks]
    assert len(server.requests) == 1
    assert errors[1:] == ["not asked"] * 4


def test_without_a_limit_nobody_waits_and_no_price_is_needed() -> None:
    configuration = {"model": "no-such-model", "base_url": "http://127.0.0.1:9/v1", "api_key": "a-key"}
    flows = ChatFlow(configuration), EvalFlow(configuration)
    share = asyncio.run(Budget(*flows).for_answer(WHAT))
    assert share
    share.settle()
    with pytest.raises(BadInputError, match="price unknown"):
        Budget(*flows, 1.0)
