"""The README's web endpoint behind a real server: pieces one by one, and what a client and a model that leave do."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pytest

from tests import documents, programs
from tests.chat_server import Answer, ChatServer, chat_server

MOST_LINES = 15
PIECES = ["It ", "is\n", "a ", "toolkit."]
HISTORY = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello to you."}]


@dataclass(frozen=True)
class Endpoint:
    """The web server's port, and the model that it asks."""

    port: int
    model: ChatServer


def code() -> str:
    (found,) = [block for block in documents.blocks("README.md", "python") if "starlette" in block]
    return found


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Serve what the README shows."""
    folder, port = tmp_path_factory.mktemp("web"), programs.free_port()
    (folder / "web.py").write_text(code(), encoding="utf-8")
    command = [sys.executable, "-m", "uvicorn", "web:app", "--port", str(port)]
    with chat_server() as model:
        environment = programs.environment_of(
            folder / "home", PYTHONPATH=str(documents.PROJECT), OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY="sk-no"
        )
        with programs.running(command, folder, environment, lambda: listens(port)):
            yield Endpoint(port, model)


@contextmanager
def asked(endpoint: Endpoint, **fields: object) -> Iterator[http.client.HTTPResponse]:
    """Ask, and leave at the end of the block."""
    with closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)) as connection:
        connection.request("POST", "/chat", json.dumps(fields))
        with closing(connection.getresponse()) as response:
            yield response


def events(response: http.client.HTTPResponse) -> Iterator[str]:
    """Yield what each event tells, as it comes."""
    while line := response.readline():
        if line.strip():
            yield json.loads(line.removeprefix(b"data: "))


def test_it_has_fifteen_lines_of_code() -> None:
    assert len([line for line in code().splitlines() if line.strip()]) <= MOST_LINES


def test_the_whole_answer_comes_as_events_and_the_history_goes_to_the_model(endpoint: Endpoint) -> None:
    endpoint.model.usual = Answer(deltas=PIECES)
    with asked(endpoint, question="What is it?", chat_history=HISTORY) as response:
        assert response.getheader("content-type") == "text/event-stream; charset=utf-8"
        assert list(events(response)) == PIECES
    assert endpoint.model.requests[-1].messages[1:] == [*HISTORY, {"role": "user", "content": "What is it?"}]


def test_pieces_come_while_the_model_still_writes_and_a_client_that_leaves_ends_its_request(endpoint: Endpoint) -> None:
    endpoint.model.usual = Answer(deltas=PIECES, stall_after=2)  # and never goes on
    endpoint.model.left.clear()
    with asked(endpoint, question="What is it?") as response:
        coming = events(response)
        assert [next(coming), next(coming)] == PIECES[:2]
        assert not endpoint.model.left.is_set()
    assert endpoint.model.left.wait(30)


def test_an_answer_that_breaks_off_breaks_the_response_off(endpoint: Endpoint) -> None:
    endpoint.model.usual = Answer(deltas=PIECES, cut_after=2)
    with asked(endpoint, question="What is it?") as response:
        coming = events(response)
        assert [next(coming), next(coming)] == PIECES[:2]
        with pytest.raises(http.client.IncompleteRead):
            response.read()
