"""A service's own words, out of whatever body its error has, and without a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.model.configuration import Model, Service
from flowkit.model.words import LONGEST, address, is_error, place, said

KEY = "sk-never-shown-1234"
SERVICE = Service("http://127.0.0.1:1/v1", KEY)
LOC = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
BODIES: list[tuple[Any, str]] = [
    ({"error": {"message": "boo", "type": "x", "code": None}}, "boo"),
    ({"error": "No models loaded."}, "No models loaded."),
    ({"error": {"message": {"detail": "boo"}}}, "boo"),
    ({"error": {"message": '{"error": {"message": "boo"}}'}}, "boo"),
    ({"error": ["boo", "and more"]}, "boo; and more"),
    ({"error": True, "message": "boo"}, "boo"),
    ({"error": "Unauthorized", "message": "Invalid token"}, "Unauthorized: Invalid token"),
    ({"error": {"code": "no_room", "message": ""}}, "no_room"),
    ({"error": {"message": "Provider returned error", "metadata": {"raw": "boo"}}}, "Provider returned error: boo"),
    ({"errors": [{"code": 7, "message": "boo"}], "success": False}, "boo"),
    ({"detail": "boo"}, "boo"),
    ({"detail": [LOC]}, "body.stream_options: Extra inputs are not permitted"),
    ({"object": "error", "message": "boo", "code": 40}, "boo"),
    ({"object": "error", "message": {"detail": [LOC]}}, "body.stream_options: Extra inputs are not permitted"),
    ([{"error": {"code": 400, "message": "boo", "status": "INVALID_ARGUMENT"}}], "boo"),
    ({"message": "boo"}, "boo"),
    ({"Message": "boo"}, "boo"),
    ({"msg": "boo"}, "boo"),
    ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, "login fail"),
    ({"fault": {"faultstring": "boo"}}, "boo"),
    ("404 page not found\n", "404 page not found"),
    ("<!DOCTYPE html><html><title>502 Bad\nGateway</title><body>x</body>", "an HTML page: 502 Bad Gateway"),
    ("<html><style>p {}</style><body><h1>Sign in</h1>&amp; go</body></html>", "an HTML page: Sign in & go"),
    ("<Error><Code>Denied</Code></Error>", "Denied"),
    ({"error": {"message": "half \ud83d"}}, "half \ufffd"),
    ({"colour": "red"}, ""),
    ({}, ""),
    ([], ""),
    ("", ""),
    (None, ""),
]


@pytest.mark.parametrize(("body", "words"), BODIES, ids=lambda value: ascii(value)[:40])
def test_the_words_are_found_in_the_body_its_text_and_its_bytes(body: Any, words: str) -> None:
    assert said(body, SERVICE) == words
    if words:
        assert said((body if isinstance(body, str) else json.dumps(body)).encode(), SERVICE) == words


def test_a_body_whose_words_nobody_knows_is_told_by_its_start() -> None:
    assert said(b'{"colour": "red"}', SERVICE) == '{"colour": "red"}'


def test_bytes_that_are_no_utf_8_are_told_as_far_as_they_can_be_read() -> None:
    assert said(b"caf\xe9 closed", SERVICE) == "caf\ufffd closed"


def test_long_words_are_shortened_after_the_key_is_cut() -> None:
    words = said("a" * (LONGEST - 5) + KEY + "b" * 999, SERVICE)
    assert words == "a" * (LONGEST - 5) + "<the ..."


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
        max_leaves=8,
    )
)
def test_the_words_of_any_body_are_one_line_that_can_be_written(body: Any) -> None:
    words = said(body, SERVICE)
    assert words.encode().decode() == words
    assert len(words) <= LONGEST + 3
    assert len(words.splitlines()) <= 1


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (KEY, f"wrong: x{KEY}x", "wrong: x<the key>x"),
        ("abc123", "wrong: abc123.", "wrong: <the key>."),
        ("abc123", "wrong: 'abc123'", "wrong: '<the key>'"),
        ("test", "tests of test-1 latest", "tests of test-1 latest"),
        ("a", "Incorrect API key provided: a. You have a key", "Incorrect API key provided: <the key>. You have a key"),
        ("k1", 'key "k1" is no k1', 'key "<the key>" is no k1'),
        ("x", "Invalid token x given", "Invalid token <the key> given"),
        (".*", "any text", "any text"),
    ],
)
def test_a_short_key_is_cut_where_it_stands_as_a_word_of_its_own(key: str, text: str, expected: str) -> None:
    assert said(text, Service("http://127.0.0.1:1/v1", key)) == expected


def test_an_address_is_shown_without_what_it_keeps_secret() -> None:
    service = Service("https://me:pa55word@host.example/v1?token=t0ken-abc&api-version=2024-10-21", KEY)
    assert address(service) == "https://host.example/v1?..."
    assert place(Model("m", service)) == "m at https://host.example/v1?..."
    assert said("cannot read pa55word and t0ken-abc", service) == "cannot read <cut> and <cut>"
    assert said("see https://x/?a=1&api_key=zzz&b=2", service) == "see https://x/?a=1&api_key=<cut>&b=2"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"error": {"message": "boo"}}, True),
        ({"error": "boo"}, True),
        ({"error": {"message": "boo"}, "choices": []}, True),
        ({"object": "error", "message": "boo"}, True),
        ({"type": "error", "code": "400", "message": "boo"}, True),
        ({"code": 500, "message": "boo"}, True),
        ({"detail": "boo"}, True),
        ({"choices": [], "error": None}, False),
        ({"choices": [], "error": {}, "message": "fine"}, False),
        ({"usage": {"total_tokens": 3}}, False),
        ({"type": "ping"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_an_object_is_an_error_by_what_it_holds(frame: dict[str, object], expected: bool) -> None:
    assert is_error(frame) is expected
