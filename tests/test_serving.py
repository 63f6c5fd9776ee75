"""The flow behind promptflow's web server: answers arrive while they are written, and the chat page shows them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from tests import programs
from tests.chat_server import Act, Answer, ChatServer, Status, chat_server
from tests.notebook import copy_of_project

pytestmark = [pytest.mark.slow, pytest.mark.promptflow]


class Clocked(list[str]):
    """Deltas that note when the model's server takes each to send it."""

    def __init__(self, deltas: Iterable[str]) -> None:
        super().__init__(deltas)
        self.sent_s: list[float] = []

    def __iter__(self) -> Iterator[str]:
        """Take one after the other."""
        for delta in super().__iter__():
            self.sent_s.append(time.monotonic())
            yield delta


@dataclass(frozen=True)
class Serving:
    """The flow's server, and the model that it asks."""

    port: int
    model: ChatServer
    log: Path


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serve a copy of the project in a home of its own."""
    folder, port = tmp_path_factory.mktemp("serving"), programs.free_port()
    command = ["pf", "flow", "serve", "--source", ".", "--engine", "fastapi", "--port", str(port)]
    with chat_server() as model:
        environment = programs.environment_of(
            folder / "home", OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY="sk-of-nobody"
        )
        with programs.running(
            [*command, "--skip-open-browser"],
            copy_of_project(folder),
            environment,
            lambda: programs.answers(port, "/health"),
        ):
            yield Serving(port, model, folder / "home" / "program.log")


class Event(NamedTuple):
    """An event: when it came (time.monotonic), its kind, and what it tells."""

    came_s: float
    kind: str
    data: Any


def server_sent_events(port: int, inputs: dict[str, str]) -> Iterator[Event]:
    """Yield each event as it comes."""
    headers = {"accept": "text/event-stream", "content-type": "application/json"}
    with closing(http.client.HTTPConnection("localhost", port, timeout=60)) as connection:
        connection.request("POST", "/score", json.dumps(inputs), headers)
        response = connection.getresponse()
        assert (response.status, response.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")
        kind = "message"
        while line := response.readline():
            if line.startswith(b"event: "):
                kind = line.removeprefix(b"event: ").decode().strip()
            if line.startswith(b"data: "):
                yield Event(time.monotonic(), kind, json.loads(line.removeprefix(b"data: ")))
                kind = "message"


def test_the_first_piece_of_an_answer_arrives_long_before_the_model_has_written_the_last(serving: Serving) -> None:
    pieces = [f"piece {i} " for i in range(15)]
    written = Clocked(pieces)
    serving.model.usual = Answer(deltas=written, gap_s=0.15)
    arrived = list(server_sent_events(serving.port, {"question": "What is it?"}))
    assert [event.data for event in arrived] == [{"output": piece} for piece in pieces]
    assert len(written.sent_s) == len(pieces)
    assert arrived[0].came_s < written.sent_s[-1]


@pytest.mark.parametrize(("act", "before"), [(Answer(cut_after=2), ["Hello", " there"]), (Status(400), [])])
def test_an_answer_that_fails_amid_its_stream_ends_with_an_error_event_and_a_line_in_the_log(
    serving: Serving, act: Act, before: list[str]
) -> None:
    serving.model.usual = act
    lines = serving.log.read_text().count("the answer failed amid its stream")
    *pieces, last = server_sent_events(serving.port, {"question": "What is it?"})
    assert [event.data for event in pieces] == [{"output": text} for text in before]
    assert last.kind == "error"
    assert serving.model.base_url in last.data["error"]["message"]
    assert serving.log.read_text().count("the answer failed amid its stream") == lines + 1


@pytest.mark.long
def test_the_default_engine_names_the_one_that_streams_and_shows_its_page(tmp_path: Path) -> None:
    port = programs.free_port()
    command = ["pf", "flow", "serve", "--source", ".", "--port", str(port), "--skip-open-browser"]
    environment = programs.environment_of(tmp_path / "home")
    headers = {"accept": "text/event-stream", "content-type": "application/json"}
    with (
        programs.running(command, copy_of_project(tmp_path), environment, lambda: programs.answers(port, "/health")),
        closing(http.client.HTTPConnection("localhost", port, timeout=60)) as connection,
    ):
        connection.request("POST", "/score", json.dumps({"question": "What is it?"}), headers)
        refused = connection.getresponse()
        assert (refused.status, b"--engine fastapi" in refused.read()) == (400, True)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200


def test_the_chat_page_shows_the_answer_to_a_question_and_to_the_next_one(serving: Serving, page: Page) -> None:
    serving.model.usual = Answer(deltas=["It ", "is ", "a ", "toolkit."], gap_s=0.1)
    page.goto(f"http://localhost:{serving.port}/")
    page.get_by_label("question").fill("What is Prompt flow?")
    page.get_by_label("question").press("Enter")
    expect(page.get_by_text("It is a toolkit.", exact=True)).to_be_visible(timeout=60_000)
    assert serving.model.requests[-1].messages[-1] == {"role": "user", "content": "What is Prompt flow?"}
    serving.model.usual = Answer(deltas=["By ", "Microsoft."])
    page.get_by_label("question").fill("And who makes it?")
    page.get_by_label("question").press("Enter")
    expect(page.get_by_text("By Microsoft.", exact=True)).to_be_visible(timeout=60_000)
    assert serving.model.requests[-1].messages[1:] == [
        {"role": "user", "content": "What is Prompt flow?"},
        {"role": "assistant", "content": "It is a toolkit."},
        {"role": "user", "content": "And who makes it?"},
    ]
