"""What services send beside the usual: keep-alives, parts, refusals, errors at status 200, broken ends."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.model.chunks import ReplyReader
from flowkit.model.completion import FAREWELL_S, Reply, complete_text, stream_text
from flowkit.model.configuration import Model, Service
from flowkit.model.errors import hopeless
from tests.chat_server import Answer, ChatServer, Hang, Raw, Reset, Status
from tests.test_completion import KEY, QUESTION, fail, model_at, read

REQUEST = httpx2.Request("POST", "http://127.0.0.1:1/v1/chat/completions")
DONE = b"data: [DONE]\n\n"
TEXT = {"type": "text", "text": "Hello"}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


def data(value: Any) -> bytes:
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def chunk(content: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}], "model": "m-1"}


def stream(*frames: Any, done: bool = True) -> list[bytes]:
    """Return the network pieces of a stream; bytes go as they are, all else as a data line."""
    pieces = [frame if isinstance(frame, bytes) else data(frame) for frame in frames]
    return [*pieces, DONE] if done else pieces


def read_pieces(pieces: Sequence[bytes], reply: Reply | None = None) -> list[str]:
    reader = ReplyReader(reply if reply is not None else Reply(), REQUEST)
    texts = [text for piece in pieces if not reader.done for text in reader.feed(piece)]
    first, *texts = [*texts, *reader.end()]
    assert first == ""  # the service has begun
    return texts


def whole(message: Any, finish: Any = "stop") -> bytes:
    return json.dumps({"model": "m-1", "choices": [{"message": message, "finish_reason": finish}]}).encode()


def complete(server: ChatServer, raw: bytes, kind: str = "application/json") -> tuple[str, Reply]:
    server.script = [Raw([raw], kind=kind)]
    return asyncio.run(complete_text(model_at(server), QUESTION, {}))


def test_a_stream_that_a_proxy_has_packed_is_read_piece_by_piece(server: ChatServer) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # gzip
    pieces = stream(chunk("Hello"), chunk(" there."), chunk(finish="stop"))
    packed = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    server.usual = Raw([*packed, packer.flush()], kind="text/event-stream\r\ncontent-encoding: gzip")
    assert read(model_at(server)) == ["Hello", " there."]


@pytest.mark.parametrize(
    "between",
    [
        b"data:\n\n",
        b"data: null\n\n",
        b"data: {}\n\n",
        b'data: ""\n\n',
        b"data: ping\n\n",
        b"event: ping\ndata: 2026-01-01\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b"id: 1\n\n",
        b"retry: 3000\n\n",
        b"event: heartbeat\n\n",
        b"event: status\ndata: queued\n\n",
        b'event: status\ndata: {"message": "loading", "progress": 0.5}\n\n',
        b": a comment\n\n",
        b"\r\n\r\n",
        data({"id": "x"}),
        data({"choices": []}),
        data({"choices": None}),
        data({"choices": [{"index": 0}]}),
        data({"choices": [{"index": 0, "delta": None}]}),
        data({"choices": [], "error": None}),
    ],
)
def test_a_keep_alive_says_nothing(between: bytes) -> None:
    pieces = stream(between, chunk("Hel"), between, chunk("lo"), between, chunk(finish="stop"), between)
    assert read_pieces(pieces) == ["Hel", "lo"]


@pytest.mark.parametrize(
    ("contents", "texts"),
    [
        (["\ud83d", "\udc4d"], ["\U0001f44d"]),
        (["Good \ud83d", "\udc4d!"], ["Good ", "\U0001f44d!"]),
        (["\ud83d", "", "\udc4d"], ["\U0001f44d"]),
        (["\ud83d", "x"], ["\ufffdx"]),
        (["\udc4d", "x"], ["\ufffd", "x"]),
        (["\ud83d", "\ud83d", "\udc4d"], ["\ufffd", "\U0001f44d"]),
        (["x", "\ud83d"], ["x", "\ufffd"]),
    ],
)
def test_the_halves_of_a_character_are_joined_or_replaced(contents: list[str], texts: list[str]) -> None:
    assert read_pieces(stream(*map(chunk, contents), chunk(finish="stop"))) == texts


@given(
    st.lists(st.text(st.characters(categories=None), max_size=6)),
    st.sets(st.integers(0, 2000), max_size=20),
    st.booleans(),
)
def test_a_stream_cut_at_any_byte_gives_the_same_text(contents: list[str], cuts: set[int], escaped: bool) -> None:
    frames = [json.dumps(chunk(each), ensure_ascii=escaped) for each in contents]
    raw = b"".join(stream(*(f"data: {frame}\n\n".encode("utf-8", "replace") for frame in frames), chunk(finish="stop")))
    edges = sorted({0, *cuts, len(raw)})
    cut = read_pieces([raw[start:end] for start, end in pairwise(edges)])
    assert cut == read_pieces([raw])
    expected = "".join(contents).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if escaped:
        assert "".join(cut) == expected
    assert all(piece and piece.encode() for piece in cut)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([chunk([THINKING]), chunk([TEXT]), chunk(" there.")], "Hello there."),
        ([chunk(["Hel", {"text": "lo"}, None, {"type": "text", "text": {"value": "!"}}])], "Hello!"),
        ([chunk([{"type": "text", "text": "Hm.", "thought": True}, TEXT])], "Hello"),
        ([chunk(TEXT)], "Hello"),
        ([chunk(None, reasoning_content="Hm."), chunk(None, reasoning="Hm.")], ""),
        ([{"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}], "Hello"),
        ([b'data: {"choices": [{"delta":\ndata: {"content": "Hello"}}]}\n\n'], "Hello"),
        ([data(chunk("Hel"))[:-1] + data(chunk("lo"))], "Hello"),
        ([data(chunk("Hel"))[:-2] + json.dumps(chunk("lo")).encode() + b"\n\n"], "Hello"),
        ([data(chunk("Hel"))[:-2] + data(chunk("lo"))], "Hello"),
        ([b"data: " + data(chunk("Hello"))], "Hello"),
        ([b"  " + data(chunk("Hello"))], "Hello"),
        ([{"choices": [{"text": "Hello"}]}], "Hello"),
        ([chunk("Hel"), chunk("lo"), {"choices": [{"message": {"content": "Hello"}}]}], "Hello"),
        ([b'data: {"choices": [{"delta": {"content": "a\tb"}}]}\n\n'], "a\tb"),
    ],
)
def test_the_text_of_every_form_of_content_is_the_answer(frames: list[Any], text: str) -> None:
    assert "".join(read_pieces(stream(*frames, chunk(finish="stop")))) == text


def test_a_refusal_is_the_text_and_the_reply_says_so(server: ChatServer) -> None:
    server.script = [Raw(stream(chunk(None, refusal="I can"), chunk(None, refusal="not."), chunk(finish="stop")))]
    reply = Reply()
    assert read(model_at(server), reply) == ["I can", "not."]
    assert (reply.refused, reply.model) == (True, "m-1")
    text, reply = complete(server, whole({"content": None, "refusal": "No."}))
    assert (text, reply.refused) == ("No.", True)
    text, _ = complete(server, whole({"content": {"score": 4, "explanation": "é"}}))
    assert text == '{"score": 4, "explanation": "é"}'
    empty: list[Any] = [{}, None]
    for delta in empty:
        both = {"choices": [{"delta": delta, "message": {"content": "Hello"}}]}
        assert complete(server, json.dumps(both).encode())[0] == "Hello"
    text, reply = complete(server, whole({"content": [THINKING, TEXT]}))
    assert (text, reply.refused, reply.model) == ("Hello", False, "m-1")


@pytest.mark.parametrize(
    ("said", "means"),
    [
        *(("STOP", "stop"), ("MAX_TOKENS", "length"), ("model_length", "length"), ("token_limit", "length")),
        *(("SAFETY", "content_filter"), ("guardrail_intervened", "content_filter"), ("x", "x")),
        *(("content-filter", "content_filter"), ("IMAGE_SAFETY", "content_filter")),
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_the_end_of_an_answer_is_told_in_one_set_of_words(said: str, means: str) -> None:
    reply = Reply()
    read_pieces(stream(chunk("Hello", finish="null"), chunk(finish=said)), reply)
    assert reply.finish_reason == means


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource", "cancelled", "FAILED"])
def test_an_answer_that_the_service_gives_up_is_an_error_that_says_so(server: ChatServer, reason: str) -> None:
    server.usual = Raw(stream(chunk("Hello"), chunk("", reason)))
    seen, message = fail(model_at(server), openai.APIError)
    assert seen == ["Hello"]
    assert reason.lower() in message
    with pytest.raises(openai.APIError, match=reason.lower()):
        complete(server, whole({"content": "Hello"}, reason))


@pytest.mark.parametrize(
    "act",
    [
        Raw(stream(chunk("Hello"), DONE, done=False)),
        Raw(stream(chunk("Hello"), chunk(finish="stop"), done=False)),
        Raw(stream(chunk("Hello"), chunk(finish="stop"), done=False), then="reset"),
        Raw(stream(chunk("Hello"), DONE, done=False), then="reset"),
        Raw(stream(chunk("Hello"), b"data: [done]\n\n", done=False), then="reset"),
        Raw([data(chunk("Hello"))[:-1] + b'data: "[DONE]"\n\n']),
        Raw(stream(chunk("Hello"), DONE, done=False), then="hang"),
        Raw([*stream(chunk("Hello"), DONE, done=False), None]),
        Raw(stream(chunk("Hello"), chunk(finish="stop"), data({"error": "late"}), b'data: {"cho')),
        Raw([data(chunk("Hello")), data(chunk(finish="stop"))[:-2]]),
        Raw([json.dumps(chunk("Hello", finish="stop")).encode()], kind="application/json"),
        Raw([json.dumps(chunk("Hello", finish="stop"), indent=1).encode()], kind="text/plain"),
    ],
    ids=[
        *("DONE", "reason", "reason and reset", "DONE and reset", "done and reset", "DONE without a blank line"),
        *("DONE and hang", "DONE and keep-alives"),
        *("reason and error", "no blank line", "one line", "several lines"),
    ],
)
def test_what_breaks_after_the_end_costs_nothing(server: ChatServer, act: Raw) -> None:
    server.script = [act]
    reply = Reply()
    assert "".join(read(model_at(server), reply)) == "Hello"
    assert reply.finish_reason == "stop"


@pytest.mark.parametrize("after", [stream(done=False), [None]], ids=["silence", "keep-alives"])
def test_the_farewell_is_not_waited_for_long(server: ChatServer, after: list[bytes | None]) -> None:
    server.script = [Raw([data(chunk("Hello")), data(chunk(finish="stop")), *after], then="hang")]
    assert read(model_at(server, timeout_s=0.2)) == ["Hello"]
    assert server.left.wait(5)


@pytest.mark.parametrize("then", ["end", "reset"])
def test_a_stream_that_stops_within_a_chunk_is_a_lost_connection(server: ChatServer, then: str) -> None:
    server.script = [Raw([data(chunk("Hello")), b'data: {"choices": [{"delta": {"con'], then=then)]
    seen, message = fail(model_at(server), openai.APIConnectionError)
    assert seen == ["Hello"]
    assert f"m at {server.base_url}" in message


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ([1], "must be an object, got list: [1]"),
        (7, "must be an object, got int: 7"),
        (f'"{"x" * 20} {KEY}"', "got str: xxxxxxxxxxxxxxxxxxxx <the key>"),
        ('"text"', "must be an object, got str: text"),
        ({"choices": [None]}, "'choices[0]' must be an object, got NoneType: null"),
        ({"choices": {"0": 1}}, "'choices' must be a list, got dict"),
        ({"choices": ["x"]}, "'choices[0]' must be an object, got str: x"),
        ({"choices": [{"delta": "x"}]}, "'delta' must be an object, got str: x"),
        ({"choices": [{"delta": 3}]}, "'delta' must be an object, got int: 3"),
        ({"choices": [{"delta": {"content": 3}}]}, "'content' must be text or a list of parts, got int: 3"),
        ({"choices": [{"message": [1]}]}, "'message' must be an object, got list: [1]"),
        ("{" * 3, "no JSON: {{{"),
        ("[" * 100_000, "no JSON: [[["),
        ('{"n": ' + "9" * 5000 + "}", "no JSON"),
        ({"type": "error", "code": "400", "message": "boo"}, "boo"),
        ({"object": "error", "message": "boo"}, "boo"),
        ({"error": "boo"}, "boo"),
        ({"error": {"message": "boo"}, "choices": []}, "boo"),
        ({"choices": [{"error": {"message": "boo"}, "finish_reason": "error"}]}, "boo"),
        ("boo", "boo"),
        (b'event: error\ndata: {"message": "boo"}\n\n', "boo"),
        (b"event: error\ndata: boo\n\n", "boo"),
        (b'{"error": {"message": "boo"}}\n', "boo"),
        (b'{"error":\n {"message": "boo"}}\n', "boo"),
        (b'error: {"code": 500, "message": "boo"}\n\n', "reports an error: boo"),
        (data(chunk())[:-1] + b'error: {"code": 500, "message": "boo"}\n\n', "reports an error: boo"),
        ({**chunk(), "x_groq": {"id": "1", "error": "boo"}}, "reports an error: boo"),
        ({"error_code": 336003, "error_msg": "boo"}, "reports an error: boo"),
        (b"\xffboo\n\n", "\ufffdboo"),
        ({"error": {"message": "half \ud83d " + KEY}}, "half \ufffd <the key>"),
        ({"hello": "world"}, "ended before the answer did"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_no_chunk_is_an_error_that_names_it(server: ChatServer, frame: Any, says: str) -> None:
    server.script = [Raw(stream(chunk("Hi"), frame, done=False))]
    seen, message = fail(model_at(server), openai.APIError)
    assert seen == ["Hi"]
    assert says in message
    assert f"m at {server.base_url}" in message
    assert message.encode()


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        # https://github.com/NousResearch/hermes-agent/pull/65643
        ({"choices": None, "error_message": "400 context length exceeded"}, "400 context length exceeded"),
        ({"choices": None, "base_resp": {"status_code": 1027, "status_msg": "sensitive"}}, "sensitive"),
    ],
)
def test_an_error_without_choices_after_a_text_is_one_though_the_stream_ends_well(
    server: ChatServer, frame: Any, says: str
) -> None:
    server.script = [Raw(stream(chunk("Hi"), frame))]
    seen, message = fail(model_at(server), openai.APIError)
    assert seen == ["Hi"]
    assert f"reports an error: {says}" in message


def test_an_event_that_tells_of_a_server_s_work_is_passed_over(server: ChatServer) -> None:
    told = {"type": "status", "message": "Searching the web"}
    text, _ = complete(server, b"".join(stream(told, chunk("Hello"))))
    assert text == "Hello"


@pytest.mark.parametrize(
    "end",
    [
        {**chunk(), "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}},
        {**chunk(), "x_groq": {"usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}},
    ],
    ids=["other names", "groq"],
)
def test_token_counts_are_found_under_other_names(server: ChatServer, end: dict[str, Any]) -> None:
    _, reply = complete(server, b"".join(stream(chunk("Hello"), end)))
    assert reply.usage == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


@pytest.mark.parametrize("strange", [5, [1], [{"usage": 1}], {"usage": [1]}], ids=str)
def test_what_is_no_count_of_tokens_costs_no_answer(server: ChatServer, strange: Any) -> None:
    text, reply = complete(server, b"".join(stream({**chunk("Hello"), "x_groq": strange}, chunk(finish="stop"))))
    assert (text, reply.usage or {}) == ("Hello", {})


def test_how_an_answer_ended_may_be_told_in_gemini_s_way(server: ChatServer) -> None:
    cut = {"choices": [{"delta": {"content": "Hello"}, "finish_reason": None, "finishReason": "MAX_TOKENS"}]}
    text, reply = complete(server, b"".join(stream(cut)))
    assert (text, reply.finish_reason) == ("Hello", "length")


def test_a_success_without_choices_is_no_error(server: ChatServer) -> None:
    told = {"choices": None, "base_resp": {"status_code": 0, "status_msg": "success"}}
    text, _ = complete(server, b"".join(stream(chunk("Hello"), told)))
    assert text == "Hello"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "an HTML page: Sign in"),
        (b'{"error": "Unexpected endpoint"}', "Unexpected endpoint"),
        (b'{"detail": "boo"}', "boo"),
        (b'[{"error": {"message": "boo"}}]', "boo"),
        (b"busy", "busy"),
        (b'{"hello": "world"}', 'no chat completion: {"hello": "world"}'),
        (b'{"choices": []}', "ended before the answer did"),
        (b'{"choices": null, "base_resp": {"status_code": 1008, "status_msg": "boo"}}', "no chat completion: boo"),
        (b'data: {"choices": null, "base_resp": {"status_msg": "boo"}}\n\ndata: [DONE]\n\n', "no chat completion: boo"),
        (b'{"choices": [{"mess', "ended before the answer did"),
        (b"null", "ended before the answer did"),
        (b" ", "ended before the answer did"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/event-stream"])
def test_an_error_at_status_200_says_what_came(server: ChatServer, raw: bytes, says: str, kind: str) -> None:
    server.usual = Raw([raw], kind=kind)
    _, message = fail(model_at(server), openai.APIError)
    assert says in message
    with pytest.raises(openai.APIError) as raised:
        asyncio.run(complete_text(model_at(server), QUESTION, {}))
    assert says in str(raised.value)
    assert f"m at {server.base_url}" in str(raised.value)


def test_a_whole_reply_may_come_as_a_stream_and_the_other_way_round(server: ChatServer) -> None:
    text, _ = complete(server, b"".join(stream(chunk("Hel"), chunk("lo"), chunk(finish="stop"))))
    assert text == "Hello"
    server.script = [Raw([whole({"content": "Hello"})], kind="application/json")]
    assert read(model_at(server)) == ["Hello"]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, b"404 page not found", "Error code: 404 - 404 page not found (m at"),
        (422, b'{"detail": [{"loc": ["body", "n"], "msg": "too many"}]}', "body.n: too many"),
        (400, b'[{"error": {"message": "boo"}}]', "Error code: 400 - boo"),
        (403, b"<html><h1>Blocked</h1></html>", "an HTML page: Blocked"),
        (400, b"\xff\xfe", "Error code: 400 - \ufffd\ufffd"),
        (418, b" ", "Error code: 418 - (no words)"),
        (401, b'{"error": "bad key sk-never-shown-1234"}', "bad key <the key>"),
    ],
)
def test_a_refusal_repeats_the_services_words_with_model_and_address(
    server: ChatServer, status: int, body: bytes, says: str
) -> None:
    server.usual = Raw([body], code=status, kind="application/json")
    _, message = fail(model_at(server), openai.APIStatusError)
    assert says in message
    assert f"(m at {server.base_url})" in message


@pytest.mark.parametrize(
    "act",
    [
        Raw([b"404 page not found"], code=404, kind="text/plain"),
        Raw([b"<title>405 Not Allowed</title>"], code=405, kind="text/html"),  # nginx
        Raw([b"<!doctype html><title>New API</title>"], kind="text/html"),
    ],
    ids=["404", "405", "a page"],
)
def test_an_address_without_a_path_at_which_no_service_is_asks_for_it(server: ChatServer, act: Raw) -> None:
    server.usual = act
    assert "need /v1" not in fail(model_at(server), openai.APIError)[1]
    bare = Model("m", Service(server.base_url.removesuffix("/v1"), KEY))
    assert f"(m at {bare.service.base_url}; does the address need /v1 at its end?)" in fail(bare, openai.APIError)[1]


def test_a_reset_before_the_first_byte_is_a_lost_connection_and_no_silence(server: ChatServer) -> None:
    server.usual = Reset()
    _, message = fail(model_at(server, max_retries=0), openai.APIConnectionError)
    assert "connection was lost" in message
    with pytest.raises(openai.APIConnectionError, match="connection was lost") as raised:
        asyncio.run(complete_text(model_at(server, max_retries=0), QUESTION, {}))
    assert not isinstance(raised.value, openai.APITimeoutError)
    assert all(seen.body["stream"] is False for seen in server.requests[1:])


def test_a_silence_is_told_as_a_silence(server: ChatServer) -> None:
    server.usual = Hang()
    _, message = fail(model_at(server, timeout_s=0.1, max_retries=0), openai.APITimeoutError)
    assert "said nothing for 0.1 s" in message


def test_an_error_within_a_stream_keeps_its_code_and_can_be_hopeless(server: ChatServer) -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    server.usual = Raw(stream(body), kind="text/event-stream")
    with pytest.raises(openai.APIError) as raised:
        read(model_at(server))
    assert raised.value.code == "insufficient_quota"
    assert hopeless(raised.value) == "the quota is used up"


def test_a_server_that_is_not_running_is_told_so() -> None:
    server = ChatServer("http://127.0.0.1:9/v1")
    _, message = fail(model_at(server, max_retries=0), openai.APIConnectionError)
    assert "cannot connect to http://127.0.0.1:9/v1: is it running?" in message


SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "v", "schema": {}}}}


@pytest.mark.parametrize(
    "refusal",
    [
        Status(400, "'response_format.type' must be 'text'"),
        Status(500, "response_format type must be one of text or json_object"),
        Status(400, "Unknown name response_schema at generation_config: Cannot find field."),
        Status(422, "JSON schema is not supported"),
        Status(404, "No endpoints found that support structured outputs"),
        Status(400, "guided decoding: failed to compile the grammar"),
        Status(400, "output_config.format: Extra inputs are not permitted"),
    ],
    ids=lambda refusal: refusal.message[:30],
)
def test_a_refused_format_steps_on_whatever_the_service_calls_it(server: ChatServer, refusal: Status) -> None:
    def act(body: dict[str, Any]) -> Answer | Status:
        return refusal if body.get("response_format", {}).get("type") == "json_schema" else Answer()

    server.usual = act
    text, reply = asyncio.run(complete_text(model_at(server, max_retries=0), QUESTION, SCHEMA))
    assert (text, reply.format) == ("Hello there.", "json_object")


def test_a_parameter_refused_in_fastapis_shape_is_left_out(server: ChatServer) -> None:
    parts = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
    server.script = [Raw([json.dumps({"detail": parts}).encode()], code=422, kind="application/json")]
    assert "".join(read(model_at(server))) == "Hello there."
    assert "stream_options" not in server.requests[-1].body


@pytest.mark.parametrize(
    ("error", "text", "finish"),
    [
        ({"code": "json_validate_failed", "message": "no", "failed_generation": "Four."}, "Four.", "stop"),
        ({"message": "Failed to generate JSON. See 'failed_generation'."}, "", "stop"),
        (
            {"code": "json_validate_failed", "message": "max completion tokens reached", "failed_generation": ""},
            "",
            "length",
        ),
    ],
)
def test_a_reply_that_the_service_itself_cannot_read_is_a_text_and_no_refusal(
    server: ChatServer, error: dict[str, str], text: str, finish: str
) -> None:
    server.script = [Raw([json.dumps({"error": error}).encode()], code=400, kind="application/json")]
    said, reply = asyncio.run(complete_text(model_at(server), QUESTION, SCHEMA))
    assert (said, reply.finish_reason, reply.format) == (text, finish, "json_schema")
    assert len(server.requests) == 1


@pytest.mark.parametrize("limits", [{"timeout_s": 0.3, "max_retries": 0}, {"timeout_s": 2, "give_up_after_s": 0.5}])
def test_a_whole_reply_that_takes_long_is_asked_for_as_a_stream_from_then_on(
    server: ChatServer, limits: dict[str, Any]
) -> None:
    server.usual = Answer(deltas=["Hel", "lo"], gap_s=0.02, whole_s=30)
    model = model_at(server, **limits)

    async def ask_twice() -> list[tuple[str, Reply]]:
        return [await complete_text(model, QUESTION, {}), await complete_text(model, QUESTION, {})]

    replies = asyncio.run(ask_twice())
    assert [(text, reply.finish_reason) for text, reply in replies] == [("Hello", "stop")] * 2
    assert [seen.body["stream"] for seen in server.requests] == [False, True, True]


@pytest.mark.parametrize(
    "refusal",
    [
        Status(400, "This model only support stream mode, please enable the stream parameter"),
        Status(400, "parameter.enable_thinking must be set to false for non-streaming calls"),
        Status(400, "Requests with max_tokens > 4096 must have stream=true"),
        Status(400, "enable thinking can not be support when `stream=False`."),
        Status(504, "504 Gateway Time-out"),
        Status(408, "Request Timeout"),
        Status(400, "Stream must be set to true"),
    ],
    ids=lambda refusal: refusal.message[:24],
)
def test_who_gives_no_whole_reply_is_asked_for_a_stream(server: ChatServer, refusal: Status) -> None:
    server.usual = lambda body: Answer() if body["stream"] else refusal
    text, _ = asyncio.run(complete_text(model_at(server, max_retries=0), QUESTION, {}))
    assert text == "Hello there."
    assert [seen.body["stream"] for seen in server.requests] == [False, True]


@pytest.mark.parametrize(
    "refusal",
    [
        Status(400, "Your organization must be verified to stream this model.", "stream", "unsupported_value"),
        Status(400, "Unsupported value: 'stream' does not support true with this model."),
        Status(422, "Streaming is not supported for this model"),
        Status(400, "litellm.BadRequestError: BedrockException - This model doesn't support streaming."),
    ],
    ids=lambda refusal: refusal.message[:24],
)
def test_who_gives_no_stream_is_asked_for_a_whole_reply(server: ChatServer, refusal: Status) -> None:
    server.usual = lambda body: refusal if body["stream"] else Answer()
    assert read(model_at(server)) == ["Hello there."]
    assert "stream_options" not in server.requests[-1].body


@pytest.mark.parametrize(
    "refusal",
    [
        Status(400, "System role not supported"),
        Status(500, "System role not supported"),
        Status(400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
        Status(400, "Only user and assistant roles are supported!"),
        Status(400, "This model doesn't support system messages. Try again without them."),
        Status(400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        Status(400, "'messages[0].role' does not support 'system' with this model.", "messages[0].role"),
    ],
)
def test_who_knows_no_system_role_is_told_by_the_user(server: ChatServer, refusal: Status) -> None:
    server.usual = lambda body: refusal if body["messages"][0]["role"] == "system" else Answer()
    messages = [{"role": "system", "content": "Be brief."}, *QUESTION]
    assert asyncio.run(complete_text(model_at(server), messages, {}))[0] == "Hello there."
    assert server.requests[-1].messages == [{"role": "user", "content": f"Be brief.\n\n{QUESTION[0]['content']}"}]


def test_the_tokens_may_be_told_within_the_choice(server: ChatServer) -> None:
    reply = Reply()
    end = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"total_tokens": 5}}]}
    read_pieces(stream(chunk("Hello"), end), reply)
    assert reply.usage == {"total_tokens": 5}


@pytest.mark.parametrize(
    "frames",
    [
        [chunk(""), {"text": "**NETWORK ERROR**", "error_code": 50002}, b"data: [DONE]\n\n"],
        [{"choices": [], "usage": {"prompt_tokens": 5}}, b"data: [DONE]\n\n"],
    ],
    ids=str,
)
def test_a_stream_without_an_answer_is_no_answer(server: ChatServer, frames: list[Any]) -> None:
    server.usual = Raw(stream(*frames, done=False))
    seen, message = fail(model_at(server, max_retries=0), openai.APIError)
    assert seen == []
    assert "no chat completion" in message or "ended its stream without an answer" in message


@pytest.mark.slow
def test_an_end_that_is_told_too_early_is_not_believed(server: ChatServer) -> None:
    """Some say "stop" in each chunk of the thoughts, some call a tool themselves and go on after seconds."""
    thought, tool = chunk(None, "stop", reasoning="Hm."), chunk("Let me look. ", "tool_calls")
    rest = [data(chunk("It is 4.")) + data(chunk(finish="stop")) + DONE]
    server.script = [Raw([data(began), *rest], gap_s=FAREWELL_S + 0.5) for began in (thought, tool)]
    model = model_at(server, timeout_s=30)

    async def read_both() -> list[str]:
        async def one() -> str:
            return "".join([piece async for piece in stream_text(model, QUESTION, {})])

        return list(await asyncio.gather(one(), one()))

    assert sorted(asyncio.run(read_both())) == ["It is 4.", "Let me look. It is 4."]


def test_a_parameter_may_be_named_in_words_where_param_says_none(server: ChatServer) -> None:
    refusal = Status(400, "Unsupported parameter: 'max_tokens' is not supported with this model", "None")
    server.usual = lambda body: refusal if "max_tokens" in body else Answer()
    assert asyncio.run(complete_text(model_at(server), QUESTION, {"max_tokens": 9}))[0] == "Hello there."
    assert server.requests[-1].body["max_completion_tokens"] == 9


@pytest.mark.parametrize(
    ("refusal", "name"),
    [
        (Status(400, "Penalty is not enabled for models/gemini-2.5-flash"), "frequency_penalty"),
        (Status(500, "__init__() got an unexpected keyword argument 'top_p'"), "top_p"),
    ],
)
def test_a_parameter_refused_in_other_words_is_left_out(server: ChatServer, refusal: Status, name: str) -> None:
    server.usual = lambda body: refusal if name in body else Answer()
    model = model_at(server, max_retries=0)
    assert asyncio.run(complete_text(model, QUESTION, {name: 0.5}))[0] == "Hello there."


def test_a_prompt_that_is_too_long_is_not_blamed_on_its_format(server: ChatServer) -> None:
    words = "maximum context length is 8192 tokens, you sent 9000 (8950 in the messages, 50 in the response_format)."
    server.usual = Status(400, words, "messages", "context_length_exceeded")
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        asyncio.run(complete_text(model_at(server), QUESTION, SCHEMA))
    assert len(server.requests) == 1


def test_a_temperature_of_0_that_is_refused_is_left_out(server: ChatServer) -> None:
    refusal = Status(422, "Input validation error: `temperature` must be strictly positive")
    server.usual = lambda body: refusal if "temperature" in body else Answer()
    assert asyncio.run(complete_text(model_at(server), QUESTION, {"temperature": 0}))[0] == "Hello there."


def test_what_is_refused_is_forgotten_with_the_event_loop(server: ChatServer) -> None:
    server.script = [Status(400, "Unsupported parameter: 'temperature'", "temperature")]
    read(model_at(server))
    read(model_at(server))
    assert ["temperature" in seen.body for seen in server.requests] == [True, False, True]
