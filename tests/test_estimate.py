"""What a run takes, told before: held against what the offline model counts then."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

import batch
import offline_model
from check_list import EvalFlow
from flow import ChatFlow
from flowkit.base.errors import BadInputError
from flowkit.data.lines import read_lines
from flowkit.prompt.prompty import Prompt
from flowkit.run.estimate import Estimate, estimate
from tests.chat_server import ChatServer

PROJECT = Path(__file__).absolute().parent.parent
HISTORY = [{"role": role, "content": "word " * 40} for _ in range(12) for role in ("user", "assistant")]


def fifty_lines(folder: Path) -> Path:
    """Write lines with histories that fit and that do not, some with the same statement twice, some with none."""
    rows = [
        {
            "question": f"What is Prompt flow, {i * 'please, '}in {i} words?",
            "chat_history": HISTORY[: 2 * (i % 13)],
            "statements": {f"s{j}": f"It is statement {j % 3}." for j in range(i % 5)},
        }
        for i in range(50)
    ]
    path = folder / "fifty.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, address: str, model: str) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.setenv("OPENAI_MODEL", model)
    monkeypatch.chdir(folder)


def counted(data: Path) -> Estimate:
    return asyncio.run(estimate(read_lines(data), ChatFlow(), EvalFlow()))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["data.jsonl", "fifty.jsonl"])
def test_the_prompts_take_what_was_estimated_and_the_judge_no_more(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path, offline_model.start(), offline_model.MODEL)
    data = PROJECT / which if which == "data.jsonl" else fifty_lines(tmp_path)
    found = counted(data)
    assert batch.main(["--data", str(data), "--quiet"]) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["tokens"]["prompt"] == pytest.approx(found.answers.prompt, rel=0.05)
    assert metrics["judge_tokens"]["prompt"] <= found.verdicts.prompt
    assert metrics["tokens"]["completion"] <= found.answers.reply
    assert metrics["judge_tokens"]["completion"] <= found.verdicts.reply
    entries = [json.loads(line) for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()]
    assert found.answers.requests == found.lines == sum("answer" in entry for entry in entries)
    assert found.verdicts.requests == sum("verdict" in entry for entry in entries)
    assert "cost_usd" not in metrics


def test_it_is_printed_with_the_money_and_nothing_is_sent(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, tmp_path, server.base_url, "gpt-4o-mini")
    data = PROJECT / "data.jsonl"
    assert batch.main(["--data", str(data), "--estimate"]) == 0
    printed = capsys.readouterr().out
    found = counted(data)
    most = (found.answers.prompt + found.verdicts.prompt) * 0.15 + (found.answers.reply + found.verdicts.reply) * 0.6
    assert found.answers.cost + found.verdicts.cost == pytest.approx(most / 1e6)
    answers, verdicts = (re.sub(r"\s+", " ", line) for line in printed.splitlines() if line.startswith(("ans", "ver")))
    assert answers == f"answers 3 {found.answers.prompt} 3,072"
    assert (told := re.fullmatch(r"verdicts 6 at most ([\d,]+) 3,072", verdicts))
    assert int(told[1].replace(",", "")) == found.verdicts.prompt
    assert f"about ${most / 1e6:.4f} at most (prices of genai-prices 0." in printed
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [("no-such-model", "price unknown: genai-prices 0."), (offline_model.MODEL, "demonstration has no price")],
)
def test_without_a_price_there_is_no_amount(
    model: str,
    said: str,
    server: ChatServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, tmp_path, server.base_url, model)
    assert batch.main(["--data", str(PROJECT / "data.jsonl"), "--estimate"]) == 0
    printed = capsys.readouterr().out
    assert said in printed
    assert "$" not in printed


def test_several_votes_are_several_requests(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path, server.base_url, "gpt-4o-mini")
    lines = read_lines(PROJECT / "data.jsonl")
    one, three = (asyncio.run(estimate(lines, ChatFlow(), EvalFlow(votes=votes))).verdicts for votes in (1, 3))
    assert (three.requests, three.reply) == (3 * one.requests, 3 * one.reply)
    assert three.prompt == 3 * one.prompt
    assert three.cost == pytest.approx(3 * one.cost)


def test_a_prompt_without_a_limit_cannot_be_estimated(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tmp_path, server.base_url, "gpt-4o-mini")
    path = tmp_path / "short.prompty"
    path.write_text("---\nname: short\n---\nsystem:\nBe short.\n")
    flow = ChatFlow()
    flow.prompt = Prompt.load(path)
    with pytest.raises(BadInputError, match=r"--estimate needs max_tokens in short\.prompty"):
        asyncio.run(estimate([], flow, EvalFlow()))


@pytest.mark.parametrize("arguments", [["--data", "nowhere.jsonl"], ["--data", "bad.jsonl"], ["--resume", "out"]])
def test_bad_input_is_told_as_always(
    arguments: list[str], server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    use(monkeypatch, tmp_path, server.base_url, "gpt-4o-mini")
    (tmp_path / "bad.jsonl").write_text('{"question": 3}\n')
    try:
        code: Any = batch.main([*arguments, "--estimate"])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert arguments[-1] in capsys.readouterr().err or arguments[0] == "--resume"
