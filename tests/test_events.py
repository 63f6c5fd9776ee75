"""Server-sent events, however the network cuts them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.model.events import Event, EventReader


def events_of(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\r\n\r\ndata:  b\r\n\r\n", ["a", " b"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"id: 1\ndata: a\n\n: ping\n\nid: 2\n\nretry: 10\n\nevent: x\n\ndata: b\n\n", ["a", "b"]),
        (b"\n\n\n: a comment\ndata: a\n: between\ndata: b\n\n", ["a\nb"]),
        (b"data\n\ndata:\n\n", ["", ""]),
        (b"data: a", ["a"]),
        (b"data: caf\xe9\n\n", ["caf\ufffd"]),
        (b'data: a\n\n{"error": "boo"}\n\ndata: b\n\n', ["a", '{"error": "boo"}', "b"]),
        (b'{\n "error":\n "boo"\n}\n', ['{\n "error":\n "boo"\n}']),
        (b"<html>\n\n<p>data\n</html>", ["<html>\n<p>data\n</html>"]),
        (b"[DONE]\n", ["[DONE]"]),
        (b"", []),
    ],
)
def test_events_are_read_as_the_standard_says_and_a_bit_beyond(raw: bytes, data: list[str]) -> None:
    assert [event.data for event in events_of(raw)] == data
    assert [event.data for event in events_of(*(raw[i : i + 1] for i in range(len(raw))))] == data


def test_the_name_of_an_event_is_its_own() -> None:
    assert events_of(b"event: error\ndata: a\n\ndata: b\n\n") == [Event("a", "error"), Event("b", "")]
    assert events_of(b"event: error\n\ndata: b\n\n") == [Event("b", "")]


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\n") == [Event("a")]
    assert reader.feed(b'{"error": "boo"}\n') == [Event('{"error": "boo"}')]


@given(
    texts=st.lists(st.text(), max_size=5),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    between=st.sampled_from(["", ": ping{0}{0}", "id: 7{0}{0}", "retry: 1{0}{0}", "{0}", "event: x{0}{0}"]),
    cuts=st.sets(st.integers(0, 400), max_size=12),
)
def test_a_stream_cut_anywhere_holds_the_same_events(
    texts: list[str], line_end: str, between: str, cuts: set[int]
) -> None:
    lines = [f"{between.format(line_end)}data: {json.dumps(text, ensure_ascii=False)}" for text in texts]
    raw = "".join(f"{line}{line_end}{line_end}" for line in lines).encode("utf-8", "replace")
    edges = sorted({0, *cuts, len(raw)})
    pieces = [raw[start:end] for start, end in pairwise(edges)]
    whole = [text.encode("utf-8", "replace").decode() for text in texts]
    assert [json.loads(event.data) for event in events_of(*pieces)] == whole
