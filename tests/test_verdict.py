"""What judges reply, and how it is read."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.judge.reading import Verdict, median_of, parse

WHOLE = '{"explanation": "It names {most} of it, \\"all\\" but one.", "score": 4}'
CUT = '{"explanation": "It names'
DIGITS = "9" * 5000  # more than int() accepts
LONG = "x" * 9999

REPLIES = [
    # the whole reply is the object
    (WHOLE, 4, "json"),
    ('{"score": 1}', 1, "json"),
    ('  {"score": 5}\n', 5, "json"),
    ('{"score": 4, "explanation": "The score comes first."}', 4, "json"),
    ('{"score": "4"}', 4, "json"),
    ('{"score": " 4 "}', 4, "json"),
    ('{"score": 4.0}', 4, "json"),
    ('{"score": "4.00"}', 4, "json"),
    ('{"Score": 2}', 2, "json"),
    ('{" SCORE ": 2}', 2, "json"),
    ('{"\\u0073core": 2}', 2, "json"),
    ('{"score": 3, "score": 3}', 3, "json"),
    ('{"score": 3, "Score": "3"}', 3, "json"),
    ('{"score": 4, "confidence": 1e400}', 4, "json"),
    ('{"score": 4, "tokens": ' + DIGITS + "}", 4, "json"),
    ('{"score": 4, "explanation": "a } and a { and http://x.org # not a comment"}', 4, "json"),
    # text around it
    ('```json\n{"score": 4}\n```', 4, "lenient"),
    ('```\n{"score": 4}', 4, "lenient"),
    ('Here you are:\n{"score": 4}', 4, "lenient"),
    ('{"score": 4}\nI hope this helps!', 4, "lenient"),
    ('It\'s "fine: {"score": 4} isn\'t it', 4, "lenient"),
    ('So: {"explanation": "the sign \\"}", "score": 4}', 4, "lenient"),
    ('[{"score": 4}]', 4, "lenient"),
    ('\ufeff{"score": 4}', 4, "lenient"),
    ('For example {"score": 1}. My verdict: {"score": 4}', 4, "lenient"),
    ('{"score": 4}{"score": 2}', 2, "lenient"),
    ('{"score": 4}\n{"note": "done"}', 4, "lenient"),
    ('{"score": 4}\n{"note": "see the score above"}', 4, "lenient"),
    ('{"score": 4} for the set {a, b} and \\frac{1}{2}', 4, "lenient"),
    ('The set {don\'t} comes first. {"score": 4}', 4, "lenient"),
    ("[" * 100_000 + '{"score": 4}', 4, "lenient"),
    # nearly JSON
    ('{"score": 4,}', 4, "lenient"),
    ('{"notes": ["a", "b",], "score": 4, /* done */ }', 4, "lenient"),
    ('{"score": 4 // of 5\n}', 4, "lenient"),
    ('{# don\'t panic }\n"score": 4}', 4, "lenient"),
    ('{/* {"score": 1} */ "score": 4}', 4, "lenient"),
    ("{'score': 4}", 4, "lenient"),
    ("{'Score': 4}", 4, "lenient"),
    ("{'explanation': 'It\\'s \"good\" {', 'score': '4'}", 4, "lenient"),
    ('{"complete": True, "missing": None, "wrong": False, "score": 4}', 4, "lenient"),
    ('{score: 4, explanation: "ok"}', 4, "lenient"),
    ('{"explanation": "two\nlines", "score": 4}', 4, "lenient"),
    # no score from 1 to 5
    ('{"score": 0}', None, "unreadable"),
    ('{"score": 6}', None, "unreadable"),
    ('{"score": -4}', None, "unreadable"),
    ('{"score": 45}', None, "unreadable"),
    ('{"score": 4.5}', None, "unreadable"),
    ('{"score": 4.0000000000000000001}', None, "unreadable"),
    ('{"score": true}', None, "unreadable"),
    ('{"score": True}', None, "unreadable"),
    ('{"score": null}', None, "unreadable"),
    ('{"score": NaN}', None, "unreadable"),
    ('{"score": Infinity}', None, "unreadable"),
    ('{"score": 1e400}', None, "unreadable"),
    ('{"score": ' + DIGITS + "}", None, "unreadable"),
    ('{"score": "four"}', None, "unreadable"),
    ('{"score": "4/5"}', None, "unreadable"),
    ('{"score": 4/5}', None, "unreadable"),
    ('{"score": "\uff14"}', None, "unreadable"),  # a full-width 4
    ('{"score": "4\\n5"}', None, "unreadable"),
    ('{"score": ""}', None, "unreadable"),
    ('{"score": [4]}', None, "unreadable"),
    ('{"score": {"value": 4}}', None, "unreadable"),
    ('{"score": 4, "score": 2}', None, "unreadable"),
    ('{"score": 4, "Score": 2}', None, "unreadable"),
    # no object with a score
    ("", None, "unreadable"),
    (" \n\t", None, "unreadable"),
    ("4", None, "unreadable"),
    ("score: 4", None, "unreadable"),
    ("null", None, "unreadable"),
    ('["score", 4]', None, "unreadable"),
    ("{}", None, "unreadable"),
    ('{"scores": 4}', None, "unreadable"),
    ('{"verdict": {"score": 4}}', None, "unreadable"),
    ('"{\\"score\\": 4}"', None, "unreadable"),
    # not even nearly JSON: an earlier object does not stand in for it
    ('{"explanation": "He said "yes" twice", "score": 4}', None, "unreadable"),
    ('{"score": 4,,}', None, "unreadable"),
    ('{"score": 4 5}', None, "unreadable"),
    ('{"score" 4}', None, "unreadable"),
    ('{"score": 1} {"score": 4;}', None, "unreadable"),
    ('{"score": 1} {"score": 4.5}', None, "unreadable"),
    ('{"score": 4, "notes": ' + "[" * 100_000 + "]" * 100_000 + "}", None, "unreadable"),
    # cut in the middle
    ("{", None, "unreadable"),
    ('{"score": 4', None, "unreadable"),
    ('{"score": 4, "explanation": "}', None, "unreadable"),
    ('{"score": 4, "explanation": "\\', None, "unreadable"),
    ('{"score": 4 /* }', None, "unreadable"),
    ('{"score": 4 # }', None, "unreadable"),
    ('{"steps": [{"score": 4}', None, "unreadable"),
    ('{"score": 4} no, better: {"sc', None, "unreadable"),
]


@pytest.mark.parametrize(("raw", "score", "read_by"), REPLIES)
def test_a_reply_is_read_as_the_table_says(raw: str, score: int | None, read_by: str) -> None:
    verdict = parse(raw)
    assert (verdict.score, verdict.read_by, verdict.raw) == (score, read_by, raw)


@pytest.mark.parametrize(
    ("raw", "explanation"),
    [
        (WHOLE, 'It names {most} of it, "all" but one.'),
        ('{"score": 4}', ""),
        ('{"score": 4, "explanation": null}', ""),
        ('{"score": 4, "explanation": 12}', "12"),
        ('{"score": 4, "explanation": ["é"]}', '["é"]'),
        ('{"score": 4, "Explanation": "fine"}', "fine"),
        ("{'score': 4, 'explanation': 'It\\'s \"good\" // {'}", 'It\'s "good" // {'),
        ('{"score": 4, "explanation": "cut \\ud83d"}', "cut ?"),
        ("", "the reply is empty"),
        (" \n", "the reply is empty"),
        ("four", 'no JSON object with a "score" in the reply'),
        (CUT, "the reply ends inside a JSON object"),
        ('{"score": 4, "score": 2}', "two scores in one JSON object"),
        ('{"score": 4.5}', "score must be an integer from 1 to 5, got 4.5"),
        ('{"score": "4/5"}', "score must be an integer from 1 to 5, got 4/5"),
        ('{"score": NaN}', "score must be an integer from 1 to 5, got NaN"),
        ('{"score": null}', "score must be an integer from 1 to 5, got null"),
        ('{"score": ""}', "score must be an integer from 1 to 5, got nothing"),
        ('{"score": 4/5}', "not valid JSON: Expecting ',' delimiter at / 5 }"),
        ("{'score': " + "[" * 100_000 + "]" * 100_000 + "}", "the JSON object is nested too deeply"),
    ],
)
def test_the_explanation_is_the_judges_or_says_what_was_wrong(raw: str, explanation: str) -> None:
    assert parse(raw).explanation == explanation


@pytest.mark.parametrize(
    "raw",
    [
        f'{{"score": "{LONG}"}}',
        f'{{"score": {DIGITS}}}',
        f'{{"score" {LONG}}}',
        f'{{"score": 4, "explanation": ["{LONG}"]}}',
    ],
)
def test_neither_a_message_nor_a_foreign_explanation_repeats_a_whole_reply(raw: str) -> None:
    explanation = parse(raw).explanation
    assert explanation.endswith("...")
    assert len(explanation) < 160


@pytest.mark.parametrize("before", ["", '{"score": 1} '])
@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_a_reply_cut_anywhere_has_no_score(before: str, length: int) -> None:
    assert parse(before + WHOLE[:length]).score is None


UNITS = [*"{}[9'\"\\", "{}", '{"', '{"\\"', '\\"', "{'", "{/*", "{//", "{#", "{,", '{"a":', '{"score",}']


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ('{"', ""), ('{"score": 4, "x": ', "}"), ('{"score": 4, "x": "', '"}')]
)
def test_reading_takes_time_linear_in_the_length(unit: str, before: str, after: str) -> None:
    started = time.perf_counter()
    parse(before + unit * (200_000 // len(unit)) + after)
    assert time.perf_counter() - started < 2  # 0.2 s at most; a quadratic reader needs minutes


FRAGMENTS = [*"{}[]:,\"'\\/*#46\n ", "score", "//", "True"]
OBJECTS = ['{"score": 4}', "{'score': 6,}", '{"score": ', WHOLE]
replies = st.text() | st.lists(st.sampled_from(FRAGMENTS + OBJECTS)).map("".join)


def is_sound(verdict: Verdict, raw: str) -> bool:
    scored = verdict.score in (1, 2, 3, 4, 5) and verdict.read_by in ("json", "lenient")
    unscored = verdict.score is None and verdict.read_by == "unreadable" and verdict.explanation != ""
    return verdict.raw == raw and scored != unscored


@given(replies)
def test_any_text_gives_a_score_from_1_to_5_or_a_reason(raw: str) -> None:
    assert is_sound(parse(raw), raw)


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), replies)
def test_any_mutation_of_a_good_reply_gives_a_score_or_a_reason(start: int, end: int, patch: str) -> None:
    raw = WHOLE[:start] + patch + WHOLE[end:]
    assert is_sound(parse(raw), raw)


texts = st.text(st.characters(exclude_categories=["Cs"]))
prose = texts.map(lambda text: text.replace("{", "").replace("}", ""))


@given(prose, texts, st.integers(1, 5), prose)
def test_an_object_in_brace_free_prose_is_read_as_itself(before: str, said: str, score: int, after: str) -> None:
    verdict = parse(before + json.dumps({"explanation": said, "score": score}) + after)
    assert (verdict.score, verdict.explanation) == (score, said)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.integers(1, 5))
def test_a_python_dict_is_read_as_itself(said: str, score: int) -> None:
    verdict = parse(repr({"explanation": said, "score": score, "sure": True}))
    assert (verdict.score, verdict.explanation) == (score, said)


@given(st.integers() | st.floats())
def test_a_number_is_a_score_exactly_if_it_is_an_integer_from_1_to_5(number: float) -> None:
    assert parse(json.dumps({"score": number})).score == (number if number in (1, 2, 3, 4, 5) else None)


@pytest.mark.parametrize(
    ("scores", "score", "spread", "flips"),
    [
        ([], None, None, 0),
        ([None], None, None, 0),
        ([4], 4, 0, 0),
        ([5, 1, 4], 4, 4, 1),
        ([3, 3, 4], 3, 1, 1),
        ([4, 5, None], 4, 1, 0),
        ([3, None, 5], 3, 2, 1),  # the lower middle, not the 4 that no judge gave
        ([None, 2, None], 2, 0, 0),
        ([5, 3, 2, 4, 4], 4, 3, 2),
        ([1, 5, 5, 1, None], 1, 4, 2),
    ],
)
def test_votes_become_their_median_and_keep_their_disagreement(
    scores: list[int | None], score: int | None, spread: int | None, flips: int
) -> None:
    vote = median_of([Verdict(each, "", "json", "") for each in scores])
    assert (vote.score, vote.spread, vote.flips) == (score, spread, flips)
    assert (vote.scored, vote.unscored) == (len(scores) - scores.count(None), scores.count(None))
