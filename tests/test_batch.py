"""The main job as a program: what it prints and writes, how it exits, what it refuses."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import batch
from check_list import EvalFlow
from flowkit.model import configuration
from tests.chat_server import Act, Answer, ChatServer, Status
from tests.conftest import new_home

PROJECT = Path(__file__).absolute().parent.parent
ROWS = [
    {"question": f"Question {i}?", "statements": {"short": "It is short.", "right": "It is right."}} for i in range(6)
]
VERDICT = Answer(deltas=['{"explanation": "So it seems.", "score": 4}'])

pytestmark = [pytest.mark.slow]


def written(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    data = tmp_path / "lines.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(data)


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "details.jsonl").read_text(encoding="utf-8").splitlines()]


def metrics_of(out: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return figures


@pytest.fixture
def at_server(server: ChatServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ChatServer:
    """Let the environment name the server, as a person would."""
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-shown-1234")
    monkeypatch.chdir(tmp_path)
    server.usual = lambda body: Answer(deltas=["An", " answer."]) if body.get("stream") else VERDICT
    return server


def test_every_line_is_answered_judged_and_written_in_input_order(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch.main(["--data", written(tmp_path, ROWS), "--out", "out"]) == 0
    rows = rows_of(tmp_path / "out")
    assert [row["question"] for row in rows] == [row["question"] for row in ROWS]
    assert {row["answer"] for row in rows} == {"An answer."}
    assert {verdict["score"] for row in rows for verdict in row["verdicts"].values()} == {4}
    figures = metrics_of(tmp_path / "out")
    assert (figures["average_short"], figures["scored_right"]) == (4.0, 6)
    assert [figures[name] for name in ("total", "answered", "judged", "failed")] == [6, 6, 6, 0]
    printed = capsys.readouterr().out
    assert "6 lines: 6 answered, 6 judged, 0 failed" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert set(figures) & {"scored_line_number"} == set()


def test_a_line_that_fails_keeps_its_error_and_the_others_their_results(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(body: dict[str, Any]) -> Act:
        asked = body["messages"][-1]["content"]
        if body.get("stream"):
            return Status(400, "refused on purpose") if "Question 2" in asked else Answer(deltas=[asked])
        return Status(400, "no judge today") if "Question 4" in asked else VERDICT

    at_server.usual = act
    assert batch.main(["--data", written(tmp_path, ROWS), "--out", "out"]) == 3
    rows = rows_of(tmp_path / "out")
    assert [i for i, row in enumerate(rows) if row["error"]] == [2, 4]
    assert "refused on purpose" in rows[2]["error"]
    assert (rows[2]["answer"], rows[4]["answer"]) == (None, "Question 4?")
    assert "no judge today" in rows[4]["error"]
    figures = metrics_of(tmp_path / "out")
    assert [figures[name] for name in ("total", "answered", "judged", "failed")] == [6, 5, 4, 2]
    assert (figures["scored_short"], figures["unscored_short"]) == (4, 2)
    assert figures["lowest_short"] == pytest.approx((4 * 4 + 2 * 1) / 6)
    assert "6 lines: 5 answered, 4 judged, 2 failed" in capsys.readouterr().out


def test_when_every_line_fails_the_run_says_so(at_server: ChatServer, tmp_path: Path) -> None:
    at_server.usual = Status(401, "no")
    assert batch.main(["--data", written(tmp_path, ROWS), "--out", "out"]) == 3
    assert metrics_of(tmp_path / "out")["failed"] == 6


def test_as_many_lines_are_in_flight_as_asked_for(at_server: ChatServer, tmp_path: Path) -> None:
    at_server.usual = lambda body: Answer(first_s=0.2) if body.get("stream") else VERDICT
    data = written(tmp_path, [{"question": "Hello?"}] * 20)
    assert batch.main(["--data", data, "--out", "out", "--concurrency", "5"]) == 0
    assert at_server.most_in_flight == 5


@pytest.mark.promptflow
def test_the_synchronous_judge_has_as_many_requests_in_flight_in_promptflows_own_run(
    at_server: ChatServer, tmp_path: Path
) -> None:
    from promptflow.client import PFClient

    at_server.usual = replace(VERDICT, first_s=0.2)
    flow = EvalFlow({"model": "gpt-4o", "base_url": at_server.base_url, "api_key": "a-key", "max_in_flight": 6})
    columns = {"answer": "${data.question}", "statements": "${data.statements}"}
    run = {"data": written(tmp_path, ROWS), "column_mapping": columns, "batch_use_async": True, "worker_count": 6}
    PFClient().run(flow=flow, **run)
    assert len(at_server.requests) == 2 * len(ROWS)
    assert at_server.most_in_flight == 6


BAD_DATA = [
    (None, "cannot be read: No such file or directory"),
    (b"", "is empty"),
    (b"\n \n", "is empty"),
    (b'{"question": "ok"}\n{bad\n', "data.jsonl line 2: expected a JSON object such as"),
    (b'\n["question"]\n', "data.jsonl line 2: expected a JSON object such as"),
    (b'{"questio": "?"}', "line 1: 'question' is missing; the line has 'questio'"),
    (b'{"question": 5}', "line 1: 'question' must be text, got int"),
    (b'{"question": "\\ud800"}', "'question': character 0 is half of a surrogate pair"),
    (b'{"question": "?", "chat_history": {}}', "chat_history must be a list of messages, got dict"),
    (b'{"question": "?", "chat_history": ["hi"]}', "chat_history[0] must be an object with role and content, got str"),
    (
        b'{"question": "?", "chat_history": [{"role": "robot", "content": ""}]}',
        "chat_history[0]: role must be one of system, user, assistant, got 'robot'",
    ),
    (b'{"question": "?", "statements": ["good"]}', "'statements' must be an object of name to text, got ['good']"),
    (b'{"question": "?", "statements": {"good": 1}}', "statement 'good' must be text, got int"),
    ('{"question": "Größe?"}'.encode("latin-1"), "expected UTF-8"),
]


@pytest.mark.parametrize(("content", "says"), BAD_DATA, ids=[says[:40] for _, says in BAD_DATA])
def test_bad_data_gets_one_clear_line_and_nothing_is_sent(
    at_server: ChatServer, tmp_path: Path, content: bytes | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "data.jsonl").write_bytes(content)
    assert batch.main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("batch.py: data.jsonl")
    assert says in said
    assert said.count("\n") == 1
    assert at_server.requests == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--concurrency", "0"], ["--concurrency", "many"], ["--speed", "9"]])
def test_bad_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        batch.main(arguments)
    assert left.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_half_an_azure_configuration_gets_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com")
    assert batch.main(["--data", written(tmp_path, ROWS)]) == 2
    said = capsys.readouterr().err
    assert "half configured: AZURE_OPENAI_DEPLOYMENT and AZURE_OPENAI_API_KEY missing" in said
    assert said.count("\n") == 1


def test_as_a_program_it_runs_offline_from_any_folder_and_leaves_only_its_output(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {**os.environ, **new_home(tmp_path / "home")}
    command = [sys.executable, str(PROJECT / "batch.py"), "--data", str(PROJECT / "data.jsonl")]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "3 lines: 3 answered, 3 judged, 0 failed" in done.stdout
    assert "no language model" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["out"]
    figures = metrics_of(folder / "out")
    assert figures["average_correctness"] == 5.0
    assert figures["total"] == 3


def test_a_threshold_that_is_missed_exits_with_1_and_says_which(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", written(tmp_path, ROWS), "--out", "out"]
    assert batch.main([*data, "--fail-under", "short=4", "--fail-under", "right=4.5"]) == 1
    printed = capsys.readouterr().out
    assert "short: 4.00 of at least 4, 6 of 6 lines scored: met" in printed
    assert "right: 4.00 of at least 4.5, 6 of 6 lines scored: missed" in printed
    assert printed.endswith("gate missed: 1 of 2 met\nout/report.html\n")
    assert batch.main(["--resume", "out", *data[:2], "--fail-under", "short=4", "--junit", "junit.xml"]) == 0
    assert 'errors="0"' in (tmp_path / "junit.xml").read_text()
    assert len(at_server.requests) == 18  # the second run asked for nothing


def test_an_unscored_statement_passes_no_gate_unnoticed(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(body: dict[str, Any]) -> Act:
        if body.get("stream"):
            return Answer(deltas=[body["messages"][-1]["content"]])
        text = " ".join(message["content"] for message in body["messages"])
        return Answer(deltas=["I like it."]) if "Question 2" in text else VERDICT

    at_server.usual = act
    data = ["--data", written(tmp_path, ROWS), "--out", "out"]
    assert batch.main([*data, "--fail-under", "short=4"]) == 0
    assert "5 of 6 lines scored: met" in capsys.readouterr().out
    worst = ["--resume", "out", *data[:2], "--fail-under", "short=4", "--missing", "worst"]
    assert batch.main(worst) == 1
    assert "short: at worst 3.50 of at least 4, 5 of 6 lines scored: missed" in capsys.readouterr().out


def test_a_run_that_is_worse_than_its_baseline_exits_with_1_if_asked(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", written(tmp_path, [*ROWS, *[{**row, "question": f"{row['question']} Again?"} for row in ROWS]])]
    assert batch.main([*data, "--out", "before"]) == 0
    worse = Answer(deltas=['{"explanation": "Hardly.", "score": 2}'])
    at_server.usual = lambda body: Answer(deltas=["An", " answer."]) if body.get("stream") else worse
    assert batch.main([*data, "--out", "now", "--baseline", "before"]) == 0
    assert "worse" in capsys.readouterr().out
    assert batch.main([*data, "--resume", "now", "--baseline", "before", "--no-worse-than-baseline"]) == 1
    assert "short: worse than the baseline by 2.00, 12 pairs: missed" in capsys.readouterr().out


def test_three_lines_that_fell_cannot_be_told_from_chance_and_never_pass(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ["--data", written(tmp_path, ROWS[:3])]
    assert batch.main([*data, "--out", "before"]) == 0
    fallen = Answer(deltas=['{"explanation": "No.", "score": 1}'])
    at_server.usual = lambda body: Answer(deltas=["An", " answer."]) if body.get("stream") else fallen
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    gate = ["--baseline", "before", "--no-worse-than-baseline", "--junit", "junit.xml"]
    assert batch.main([*data, "--out", "now", *gate]) == 4
    printed = capsys.readouterr().out
    assert (
        "short: change -3.00, 95 % interval -3.71 to +1.95; some 203 pairs could tell, 3 pairs: cannot tell" in printed
    )
    assert "gate cannot tell: 0 of 2 met" in printed
    assert 'skipped="2"' in (tmp_path / "junit.xml").read_text()
    assert (tmp_path / "summary.md").read_text().count("| cannot tell |") == 2


def test_names_are_no_markdown_in_the_summary_on_github(
    at_server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = r"a\|b ![x](https://evil.example/p.png) <b> @octocat `c` it_is"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert batch.main(["--data", written(tmp_path, [{"question": "Q?", "statements": {name: "It is short."}}])]) == 0
    (row,) = [line for line in (tmp_path / "summary.md").read_text().splitlines() if "1 of 1" in line]
    cells = row.split("|")
    assert len(cells) == 6
    assert not set(cells[1]) & set("\\![]()<>@`_")
    assert html.unescape(cells[1]).strip() == name


def test_a_summary_for_github_that_cannot_be_written_is_told_and_nothing_is_missing(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))  # as within a container
    assert batch.main(["--data", written(tmp_path, ROWS)]) == 0
    assert "no summary for GitHub: " in capsys.readouterr().err


@pytest.mark.filterwarnings("error")
def test_a_warning_that_was_made_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration._offline.cache_clear()
    assert batch.main(["--data", written(tmp_path, ROWS)]) == 2
    assert capsys.readouterr().err.startswith("batch.py: no model is configured: the answers come from the offline")


def test_failed_lines_are_annotated_on_github(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_server.usual = Status(400, "refused: 100 %, really")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    data = written(tmp_path, ROWS[:1])
    assert batch.main(["--data", data]) == 3
    assert f"\n::error file={data},line=1::BadRequestError%3A Error code%3A 400 - refused%3A 100 %25%2C really" in (
        capsys.readouterr().out
    )


def test_no_text_of_data_or_model_is_a_command_on_github(
    at_server: ChatServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_server.usual = Answer(deltas=["A long answer, ", "then ::error::forged ##[set-output name=x]y"])
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    row = {"question": "What about this question then :::stop-commands::abc"}
    assert batch.main(["--data", written(tmp_path, [row])]) == 0
    printed = capsys.readouterr().out
    assert "stop-commands" in printed
    assert "::" not in printed
    assert "##[" not in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fail-under", "good=4"], "no statement is called 'good'; known are 'short', 'right'"),
        (["--fail-under", "short=9"], "expected a number from 1 to 5, got '9'"),
        (["--baseline", "nowhere"], "cannot be read: No such file or directory"),
        (["--resume", "nowhere"], "nowhere: expected the folder of a run, found nothing; correct --resume"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused_before_anything_is_sent(
    at_server: ChatServer, tmp_path: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch.main(["--data", written(tmp_path, ROWS), *arguments]) == 2
    assert says in capsys.readouterr().err
    assert at_server.requests == []


def test_the_document_shows_the_figures_of_a_run_with_a_failed_line(
    at_server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(body: dict[str, Any]) -> Act:
        text = " ".join(message["content"] for message in body["messages"])
        if body.get("stream"):
            refused = Status(400, "the prompt was filtered", error_code="content_filter")
            return refused if "ChatGPT" in text else Answer(deltas=["A short", " answer."])
        if "result should be 1" in text:
            return Answer(deltas=["I would say so."])  # no verdict, asked twice
        return Answer(deltas=[json.dumps({"explanation": "So.", "score": 4 if "should explain" in text else 5})])

    at_server.usual = act
    assert batch.main(["--data", str(PROJECT / "data.jsonl"), "--quiet"]) == 3
    shown = (PROJECT / "docs" / "batch.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    out = re.sub(r"27\.0\.0\.1:\d{5}", "27.0.0.1:11434", capsys.readouterr().out)  # the port is whichever was free
    assert shown.strip() in out
