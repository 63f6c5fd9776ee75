"""What a service refuses for now within a reply of status 200 is asked for again, as if its status had said so."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

from flowkit.model.completion import complete_text
from flowkit.model.errors import hopeless
from tests.chat_server import Answer, ChatServer, Raw
from tests.test_completion import QUESTION, fail, model_at, read

OPENROUTER = {"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "slow down"}}}
BAD_GATEWAY = {"error": {"message": "Provider returned error", "code": 502}}
ANTHROPIC = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
GEMINI = [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}]
MINIMAX = {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}
ZHIPU = {"error": {"code": "1302", "message": "too many at once"}}
FOR_NOW = [
    OPENROUTER,
    BAD_GATEWAY,
    ANTHROPIC,
    GEMINI,
    MINIMAX,
    ZHIPU,
    {"error": {"message": "no", "code": "rate_limit_exceeded"}},
]


def refused(body: object, streamed: bool = True) -> Raw:
    text = json.dumps(body).encode()
    if streamed:
        return Raw([b": OPENROUTER PROCESSING\n\n", b"data: " + text + b"\n\n"])
    return Raw([text], kind="application/json")


@pytest.mark.parametrize("max_in_flight", [None, 8], ids=["alone", "in a batch"])
@pytest.mark.parametrize("body", FOR_NOW, ids=lambda body: json.dumps(body)[:40])
def test_what_is_refused_for_now_is_asked_for_again(
    server: ChatServer, body: object, max_in_flight: int | None
) -> None:
    server.script = [refused(body), Answer()]
    assert "".join(read(model_at(server, max_retries=1, max_in_flight=max_in_flight))) == "Hello there."
    server.script = [refused(body, streamed=False), Answer()]
    text, reply = asyncio.run(complete_text(model_at(server, max_retries=1, max_in_flight=max_in_flight), QUESTION, {}))
    assert (text, reply.finish_reason) == ("Hello there.", "stop")
    assert len(server.requests) == 4


def test_in_a_batch_a_429_is_asked_for_again_as_often_as_it_takes(server: ChatServer) -> None:
    server.script = [refused(OPENROUTER)] * 3
    assert "".join(read(model_at(server, max_retries=1, max_in_flight=8))) == "Hello there."


def test_elsewhere_as_often_as_other_refusals(server: ChatServer) -> None:
    server.usual = refused(OPENROUTER)
    with pytest.raises(openai.RateLimitError, match=r"Error code: 429 - Provider returned error: slow down \(m at"):
        read(model_at(server, max_retries=1))
    assert len(server.requests) == 2


def test_a_wait_beyond_our_patience_is_not_waited_for(server: ChatServer) -> None:
    server.usual = refused({"error": {"code": 429, "message": "Please try again in 1 hour."}})
    for max_in_flight in (None, 8):
        with pytest.raises(openai.RateLimitError, match="in 1 hour"):
            read(model_at(server, max_in_flight=max_in_flight))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"error": {"code": 429, "type": "insufficient_quota", "message": "You exceeded your current quota"}}, "quota"),
        ({"error": {"code": 401, "message": "No cookie auth credentials found"}}, "key"),
        ({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "quota"),
        ({"error": {"code": 400, "message": "context window exceeded"}}, None),
        ({"error": {"code": 40001, "message": "boo"}}, None),
        ({"error": {"message": "boo", "type": "invalid_request_error"}}, None),
    ],
    ids=str,
)
def test_what_cannot_heal_is_asked_for_once(server: ChatServer, body: object, why: str | None) -> None:
    server.usual = refused(body)
    with pytest.raises(openai.APIError) as raised:
        read(model_at(server, max_retries=1, max_in_flight=8))
    assert (why or "") in (hopeless(raised.value) or "")
    assert (hopeless(raised.value) is None) == (why is None)
    assert len(server.requests) == 1


@pytest.mark.parametrize("nothing", [[], [b"\n\n \n"], [b": still here\n\n"], [b'data: {"choi']])
def test_a_reply_of_nothing_is_asked_for_again(server: ChatServer, nothing: list[bytes]) -> None:
    server.script = [Raw(nothing), Answer()]
    assert "".join(read(model_at(server, max_retries=1))) == "Hello there."
    server.script = [Raw(nothing, kind="application/json"), Answer()]
    assert asyncio.run(complete_text(model_at(server, max_retries=1), QUESTION, {}))[0] == "Hello there."
    assert len(server.requests) == 4
    server.usual = Raw(nothing)
    _, message = fail(model_at(server, max_retries=1), openai.APIConnectionError)
    assert "the reply ended before the answer did" in message
    assert len(server.requests) == 6


def test_an_answer_that_has_begun_is_never_asked_for_again(server: ChatServer) -> None:
    server.usual = Answer(["Hello"], raw_after=f"data: {json.dumps(OPENROUTER)}\n\n")
    pieces, message = fail(model_at(server, max_retries=1, max_in_flight=8), openai.APIError)
    assert pieces == ["Hello"]
    assert "Provider returned error" in message
    assert len(server.requests) == 1
