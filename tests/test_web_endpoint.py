"""The documents' web endpoints behind a real server: pieces one by one, and what clients and models that leave do."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import documents, programs
from tests.chat_server import Answer, ChatServer, chat_server

MOST_LINES = 15
MANY, LARGE = 4_000, "word " * 4_000  # 80 MB; the buffers of two connections may hold 33
PIECES = ["It ", "is\n", "a ", "toolkit."]
HISTORY = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello to you."}]


@dataclass(frozen=True)
class Endpoint:
    """The web server's port, and the model that it asks."""

    port: int
    model: ChatServer


def code(document: str) -> str:
    (found,) = [block for block in documents.blocks(document, "python") if "starlette" in block]
    return found


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Serve what the README shows."""
    with serving("README.md", tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Serve what docs/serving.md shows, to two clients at once at most."""
    with serving("docs/serving.md", tmp_path_factory.mktemp("web"), "--limit-concurrency", "3") as running:
        yield running


@contextmanager
def serving(document: str, folder: Path, *options: str) -> Iterator[Endpoint]:
    """Start uvicorn with the code of a document, and a model for it."""
    port = programs.free_port()
    (folder / "web.py").write_text(code(document), encoding="utf-8")
    command = [sys.executable, "-m", "uvicorn", "web:app", "--port", str(port), *options]
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
    assert len([line for line in code("README.md").splitlines() if line.strip()]) <= MOST_LINES


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


def named_events(response: http.client.HTTPResponse) -> Iterator[tuple[str, object]]:
    """Yield each event's name and what it tells."""
    while name := response.readline():
        data = response.readline()
        assert response.readline() == b"\n"
        yield name.decode().removeprefix("event: ").strip(), json.loads(data.removeprefix(b"data: "))


def test_the_service_says_that_an_answer_is_done(service: Endpoint) -> None:
    service.model.usual = Answer(deltas=PIECES)
    with asked(service, question="What is it?", chat_history=HISTORY) as response:
        assert response.getheader("x-accel-buffering") == "no"
        assert list(named_events(response)) == [*(("piece", piece) for piece in PIECES), ("done", None)]


def test_the_service_says_that_an_answer_failed_and_not_why(service: Endpoint) -> None:
    service.model.usual = Answer(deltas=PIECES, cut_after=2)
    with asked(service, question="What is it?") as response:
        *pieces, last = named_events(response)
    assert pieces == [("piece", piece) for piece in PIECES[:2]]
    assert last == ("error", "The answer failed. Please ask again.")


def test_a_client_beyond_the_limit_is_told_at_once_and_one_that_leaves_makes_room(service: Endpoint) -> None:
    service.model.usual = Answer(deltas=PIECES, stall_after=2)
    with asked(service, question="One?") as one, asked(service, question="Two?") as two:
        assert next(named_events(one)) == next(named_events(two)) == ("piece", PIECES[0])
        with asked(service, question="Three?") as three:
            assert three.status == 503
        service.model.usual, service.model.left = Answer(deltas=PIECES), threading.Event()
    assert service.model.left.wait(30)

    def finishes() -> bool:
        with asked(service, question="Four?") as four:
            return four.status == 200 and ("done", None) in named_events(four)

    programs.until(finishes, lambda: "there is no room")


class Counted(Sequence[str]):
    """Many large pieces; counts how many have been asked for."""

    def __init__(self) -> None:
        self.given = 0

    def __len__(self) -> int:
        return MANY

    def __getitem__(self, position: object) -> Any:
        if not isinstance(position, int) or position >= MANY:
            raise IndexError
        self.given = position + 1
        return LARGE


@pytest.mark.slow
def test_a_client_that_does_not_read_stops_the_model_and_then_gets_the_whole_answer(service: Endpoint) -> None:
    pieces = Counted()
    service.model.usual = Answer(deltas=pieces)

    def stands_still() -> bool:
        before = pieces.given
        time.sleep(0.5)
        return 0 < pieces.given == before

    with asked(service, question="What is it?") as response:
        programs.until(stands_still, lambda: "the model writes on")
        assert pieces.given < MANY / 2
        *rest, last = named_events(response)
    assert (len(rest), last) == (MANY, ("done", None))
