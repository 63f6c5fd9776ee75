"""Answers that exist are judged and not asked for: from the data, from a run of ours, from a promptflow run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import batch
from flowkit.base.errors import BadInputError
from flowkit.data.records import Answer as Given
from flowkit.data.records import Line
from flowkit.run.given import EarlierAnswers
from tests.chat_server import Answer, ChatServer

VERDICT = Answer(deltas=['{"explanation": "So it seems.", "score": 4}'])
STATEMENTS = {"short": "It is short."}
Run = Callable[..., int]


@pytest.fixture
def run(server: ChatServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return what runs batch.py over lines, at the server."""
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("PF_HOME_DIRECTORY", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    server.usual = lambda body: Answer(deltas=["An", " answer."]) if body.get("stream") else VERDICT

    def run(lines: list[dict[str, Any]], *options: str) -> int:
        write_jsonl(tmp_path / "lines.jsonl", lines)
        return batch.main(["--data", "lines.jsonl", "--quiet", *options])

    return run


def write_jsonl(path: Path, found: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in found))


def rows_of(out: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(out, "details.jsonl").read_text(encoding="utf-8").splitlines()]


def asked(server: ChatServer) -> list[str]:
    """Return which requests were sent since the last call: "chat" or "judge"."""
    kinds = ["chat" if each.body.get("stream") else "judge" for each in server.requests]
    server.requests.clear()
    return kinds


def test_an_answer_in_the_data_is_judged_and_costs_no_token(server: ChatServer, run: Run) -> None:
    lines = [{"question": f"Q{i}", "answer": f"A{i}", "statements": STATEMENTS} for i in range(3)]
    assert run(lines) == 0
    assert asked(server) == ["judge"] * 3
    rows = rows_of()
    assert [(row["answer"], row["answered_from"], row["tokens"], row["timing"]) for row in rows] == [
        (f"A{i}", "data", None, None) for i in range(3)
    ]
    metrics = json.loads(Path("out", "metrics.json").read_text())
    assert (metrics["answered"], metrics["tokens"]) == (3, {"prompt": 0, "completion": 0})
    assert metrics["run"]["answered_by"] == "nobody"
    assert list(metrics["run"]["prompts"]) == ["eval_checklist.prompty"]


def test_a_run_that_asks_no_chat_model_needs_none(
    server: ChatServer, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "ChatFlow", None)  # whoever makes one fails
    assert run([{"question": "Q", "answer": "", "statements": STATEMENTS}]) == 0
    assert asked(server) == []  # an empty answer is not judged
    assert run([{"question": "Q", "answer": "A", "statements": STATEMENTS}], "--estimate") == 0
    printed = capsys.readouterr().out
    assert "answers            0" in printed
    assert "verdicts           1" in printed


def test_lines_with_and_without_answers_mix_and_a_resumed_run_asks_for_nothing_twice(
    server: ChatServer, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[dict[str, Any]] = [
        {"question": "Q", "statements": STATEMENTS},
        {"question": "Q", "answer": "One.", "statements": STATEMENTS},
        {"question": "Q", "answer": "One.", "statements": STATEMENTS},
        {"question": "Q", "answer": None, "statements": STATEMENTS},
    ]
    assert run(lines) == 0
    assert sorted(asked(server)) == ["chat"] * 2 + ["judge"] * 4
    assert [row["answered_from"] for row in rows_of()] == ["asked", "data", "data", "asked"]
    assert "answers: 2 of 4 exist, 2 to ask for" in capsys.readouterr().err
    assert run(lines[::-1], "--resume", "out") == 0
    assert asked(server) == []
    lines[1]["answer"] = "Two."
    assert run(lines, "--resume", "out") == 0
    assert asked(server) == ["judge"]


def test_answers_alone_are_asked_for_and_judged_later_from_that_run(server: ChatServer, run: Run) -> None:
    lines = [{"question": "Q", "chat_history": [], "statements": STATEMENTS}, {"question": "Other", "topic": "x"}]
    assert run(lines, "--only-answer", "--out", "answers") == 0
    assert asked(server) == ["chat"] * 2
    rows = rows_of("answers")
    assert [(row["verdicts"], row["error"]) for row in rows] == [({}, None)] * 2
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]
    asks_else = {"question": "Q", "chat_history": history, "statements": STATEMENTS}
    assert run([*lines[::-1], asks_else], "--answers-from", "answers") == 0
    assert sorted(asked(server)) == ["chat", "judge", "judge"]
    assert [row["answered_from"] for row in rows_of()] == ["run answers", "run answers", "asked"]
    assert [row["finish_reason"] for row in rows_of()] == ["stop"] * 3


def test_a_promptflow_run_is_read_by_its_name_without_promptflow(server: ChatServer, run: Run, tmp_path: Path) -> None:
    artifacts = tmp_path / "home" / ".runs" / "nightly" / "flow_artifacts"
    inputs: list[Any] = [{"question": "Q", "chat_history": None}, {"question": "R"}, {"question": "S"}]
    outputs: list[Any] = [{"output": "Of Q."}, None, {"answer": "Of S.", "score": 3}]
    for number, (given, output) in enumerate(zip(inputs, outputs, strict=True)):
        found = {"line_number": number, "run_info": {"inputs": given, "output": output}}
        write_jsonl(artifacts / f"{number:09}_{number:09}.jsonl", [found])
    lines = [{"question": question, "statements": STATEMENTS} for question in "SRQ"]
    assert run(lines, "--answers-from", "nightly") == 0
    assert [(row["answer"], row["answered_from"]) for row in rows_of()] == [
        ("Of S.", "run nightly"),
        ("An answer.", "asked"),
        ("Of Q.", "run nightly"),
    ]


@pytest.mark.parametrize(
    ("line", "options", "complaint"),
    [
        ({"question": "Q", "answer": 3}, [], "line 1: 'answer' must be text, got int"),
        ({"question": "Q", "answer": "\ud83d"}, [], "line 1: 'answer': character 0 is half of a surrogate pair"),
        ({"question": "Q"}, ["--answers-from", "nowhere"], "neither the folder of a run, nor the name of a promptflow"),
        ({"question": "Q"}, ["--only-answer", "--fail-under", "short=4"], "no statement is called 'short'"),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_sent(
    line: dict[str, Any],
    options: list[str],
    complaint: str,
    server: ChatServer,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([line], *options) == 2
    assert complaint in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "expected the answers of a chat flow: Expecting property name"),
        ('{"line_number": 0}', "expected what promptflow writes; 'run_info' is missing"),
        ('{"line_number": 0, "run_info": {"inputs": {"q": "Q"}, "output": {"output": "A"}}}', "'question' is missing"),
        (
            '{"line_number": 0, "run_info": {"inputs": {"question": "Q"}, "output": {"score": 3}}}',
            "expected a text called output or answer among the outputs, got score",
        ),
    ],
)
def test_a_promptflow_run_that_is_no_chat_flows_is_told(content: str, complaint: str, tmp_path: Path) -> None:
    artifacts = tmp_path / "flow_artifacts"
    artifacts.mkdir()
    (artifacts / "000000000_000000000.jsonl").write_text(content)
    with pytest.raises(BadInputError, match=complaint):
        EarlierAnswers.of(str(tmp_path))


def test_lines_that_ask_the_same_get_one_answer_each_whatever_their_order() -> None:
    def line(number: int, statement: str, answer: str | None = None) -> Line:
        return Line(number, "Q", [], {"s": statement}, answer=None if answer is None else Given(answer))

    earlier = [line(1, "b", "of b"), line(2, "a", "of a")]
    filled = EarlierAnswers("run x", earlier).fill([line(1, "a"), line(2, "b"), line(3, "c")])
    assert [each.answer and each.answer.text for each in filled] == ["of a", "of b", None]
    dry = replace(line(1, "a"), inputs={"tone": "dry"})
    assert [each.answer for each in EarlierAnswers("run x", earlier).fill([dry])] == [None]
    assert all(each.answer for each in EarlierAnswers("run x", earlier, ["chat_history"]).fill([dry]))
    with pytest.raises(BadInputError, match="line 1 has an answer of its own"):
        EarlierAnswers("run x", earlier).fill([line(1, "a", "mine")])


@pytest.mark.promptflow
@pytest.mark.slow
def test_promptflows_engine_judges_answers_that_exist(server: ChatServer, run: Run) -> None:
    lines = [{"question": "Q", "answer": "A", "statements": STATEMENTS}]
    assert run(lines, "--engine", "promptflow") == 0
    assert asked(server) == ["judge"]
    assert rows_of()[0]["answered_from"] == "data"
