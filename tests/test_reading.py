"""What judges reply, and how it is read."""

import json
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.judge.reading import Reading, is_copied, median_of, parse, repeats_itself

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
    ('{"score": 4}{"score": 4}', 4, "lenient"),
    ('{{"score": 4}}', 4, "lenient"),
    ('```json\n{\n{"score": 4}\n}\n```', 4, "lenient"),
    ('{"score": 4}\n\nScore: 4/5', 4, "lenient"),
    ('{"score": 4}\n\n**Score:** 4.', 4, "lenient"),
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
    # curly quotes
    ("{“explanation”: “ok”, “score”: 4}", 4, "lenient"),
    ("{”explanation”: ”ok”, ”score”: ”4”}", 4, "lenient"),
    ("{„explanation“: „ok“, „score“: 4}", 4, "lenient"),
    ("{\u2018explanation\u2019: \u2018It\u2019s ok\u2019, \u2018score\u2019: 4}", 4, "lenient"),
    ('{“explanation”: “He said “yes” and "no", twice}”, “score”: 4}', 4, "lenient"),
    ("{“score”: 4, explanation: “the braces {“ and }”}", 4, "lenient"),
    ("{“notes”: [“a”, “b”], “score”: 4,}", 4, "lenient"),
    ("Here “you” are: {“score”: 4}", 4, "lenient"),
    ('{“explanation": “It says “yes”, “no” and "so on", “score”: 4}', 4, "lenient"),
    ("{“explanation”: “It says “yes”, \u2018no\u2019 and so on”, score: 4}", 4, "lenient"),
    # backslashes that JSON does not know
    (r'{"explanation": "\(\sigma\) is there", "score": 4}', 4, "lenient"),
    (r'{"explanation": "It\'s there", "score": 4}', 4, "lenient"),
    (r'{"explanation": "\upsilon and \u00e9", "score": 4}', 4, "lenient"),
    (r'{"explanation": "\frac and \nabla", "score": 4}', 4, "json"),
    (r"{'explanation': '\(x\)', 'score': 4}", 4, "lenient"),
    (r"{“explanation”: “\(x\)”, “score”: 4}", 4, "lenient"),
    # thoughts are no part of the reply
    ('<think>\nThe set {1, 2, and it isn\'t clear.\n</think>\n{"score": 4}', 4, "json"),
    ('<think></think>{"score": 4}', 4, "json"),
    ('<think>{"score": 1}</think>{"score": 4}', 4, "json"),
    ('<Thinking>{"</Thinking> {"score": 4}', 4, "json"),
    ('{"explanation": "ok" "score": 4}', 4, "lenient"),
    ('{"explanation"\uff1a"ok"\uff0c"score"\uff1a4}', 4, "lenient"),
    ('{\u200b"explanation": "ok",\u200b "score": 4}', 4, "lenient"),
    ('{"explanation": "ok", "score": 4.}', 4, "lenient"),
    ('{\\n  "explanation": "ok",\\n  "score": 4\\n}', 4, "lenient"),
    ('{\\"explanation\\": \\"ok\\", \\"score\\": 4}', 4, "json"),
    ("{&quot;explanation&quot;: &quot;ok&quot;, &quot;score&quot;: 4}", 4, "json"),
    ('The code `if (x > 0) {` lacks its end.\n{"explanation": "ok", "score": 4}', 4, "lenient"),
    ('{"explanation": "ok", "score": 4}\n\nConfidence score: 0.95', 4, "lenient"),
    # The text ends inside the judge's object, whatever it has quoted.
    ('{"explanation": "It says { {"score": 5}', None, "unreadable"),
    ('{ "explanation": it says {"score": 5}', None, "unreadable"),
    ("{ " * 20 + '{"score": 5}', None, "unreadable"),
    ('<reasoning>{1</reasoning>```json\n{"score": 4}\n```', 4, "lenient"),
    ('[THINK]{1[/THINK]{"score": 4}', 4, "json"),
    ('Well. <think>{1</think> So: {"score": 4}', 4, "lenient"),
    ('<think>{1</think>\n<think>{2</think>\n{"score": 4}', 4, "json"),
    ('<think>a <think> {1 </think> b {2 </think> {"score": 4}', 4, "json"),
    ('The set {1, 2, isn\'t "clear.\n</think>\n\n{"score": 4}', 4, "json"),
    ('{"score": 1} no, wait\n</think>\n{"score": 4}', 4, "json"),
    ('{"score": 4}\n<think>{1</think>', 4, "json"),
    ('<|channel|>analysis<|message|>{1, "<|end|><|channel|>final<|message|>{"score": 4}', 4, "json"),
    ('<|channel|>analysis<|message|>{1<|end|><|channel|>final <|constrain|>json<|message|>{"score": 4}', 4, "json"),
    ('<|channel|>analysis<|message|>{1<|end|><|channel|>final json<|message|>{"score": 4}', 4, "json"),
    ('<|channel>thought\nThe set {1, 2 <channel|>{"score": 4}', 4, "json"),
    ('{"score": 4}\n\nScore: 4.0', 4, "lenient"),
    ('{"score": 4}\n{"score": 4.0}', 4, "lenient"),
    ('{"score": 4}\n{"score": 4.5}', None, "unreadable"),
    ('analysisThe set {1, 2 and the "wish.assistantfinal{"score": 4}', 4, "json"),  # its tags were lost
    ('◁think▷The user\'s {"◁/think▷\n{"score": 4}', 4, "json"),
    ('<seed:think>{"</seed:think>{"score": 4}', 4, "json"),
    ('<|START_THINKING|>{"<|END_THINKING|>{"score": 4}', 4, "json"),
    ('<|begin_of_thought|>{"<|end_of_thought|>{"score": 4}', 4, "json"),
    ('<analysis>{"</analysis>{"score": 4}', 4, "json"),
    ('The set {1, 2 is not closed</think>{"score": 4}', 4, "json"),
    ('[Reasoning]\nIt is short.\n[Verdict]\n{"score": 4}', 4, "lenient"),
    ('```json\n{"explanation": "It says </think> {score: 5}.", "score": 1}\n```', 1, "lenient"),
    ('So: {"explanation": "It has </think>{\'score\': 5}.", "score": 1}', 1, "lenient"),
    ('{"explanation": "It says <think> and </think>.", "score": 4}', 4, "json"),
    ('```json\n{"explanation": "It has no <think>.", "score": 4}\n```', 4, "lenient"),
    ('```json\n{"explanation": "It has no </think>.", "score": 4}\n```', 4, "lenient"),
    ('<think>{"score": 4}', None, "unreadable"),
    ('Well. <think>{"score": 4}', None, "unreadable"),
    ('{"score": 4}\n<think>or rather', None, "unreadable"),
    ('<think>{"score": 4}</think>', None, "unreadable"),
    ('{"score": 4}</think>\n', None, "unreadable"),
    ('<|channel|>analysis<|message|>Perhaps {"score": 4}', None, "unreadable"),
    # objects or words that contradict each other: an answer can contain an object with a score, and a judge quote it
    ('{"score": 4}{"score": 2}', None, "unreadable"),
    ('[{"score": 4}, {"score": 2}]', None, "unreadable"),
    ('{"score": 1}\n\nThe answer had {"score": 5}, which I ignored.', None, "unreadable"),
    ('{"score": 2}\nA short answer would be {"score": 5}', None, "unreadable"),
    ('```json\n{"score": 1}\n```\nI was given:\n```\n{"score": 5}\n```', None, "unreadable"),
    ('My verdict: {"score": 1}. The answer had {"score": 5} in it.', None, "unreadable"),
    ('The answer has {"score": 5}, which I ignore.\n\n**Score:** 1', None, "unreadable"),
    ('{"explanation": "It says "} {"score": 5}" to trick me.", "score": 1}', None, "unreadable"),
    ("{“explanation”: “He wrote ”, “score”: 5} and“, “score”: 1}", None, "unreadable"),
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
    reading = parse(raw)
    assert (reading.score, reading.read_by, reading.raw) == (score, read_by, raw)


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
        (r'{"score": 4, "explanation": "\(\sigma\) of \[x\] at 5\%"}', r"\(\sigma\) of \[x\] at 5\%"),
        (r'{"score": 4, "explanation": "\\(\\frac{1}{2}\\) \\nabla \" \/"}', r'\(\frac{1}{2}\) \nabla " /'),
        (r'{"score": 4, "explanation": "\frac{\beta}{\bar x}\forall"}', r"\frac{\beta}{\bar x}\forall"),
        (r'{"score": 4, "explanation": "\nabla_x \neq \rho\times\theta"}', r"\nabla_x \neq \rho\times\theta"),
        (r'{"score": 4, "explanation": "\text{a}\right)\tau=\nu"}', r"\text{a}\right)\tau=\nu"),
        (r'{"score": 4, "explanation": "a\nnew line,\ttab,\r\nThe end\n"}', "a\nnew line,\ttab,\r\nThe end\n"),
        (r'{"score": 4, "explanation": "for $5.\ne.g. \frac\ni) one"}', "for $5.\ne.g. \\frac\ni) one"),
        (r'{"score": 4, "explanation": "It\'s \u00e9, \upsilon"}', "It's é, \\upsilon"),
        ('{“score”: 4, “explanation”: “He said “yes” and "no", twice.”}', 'He said “yes” and "no", twice.'),
        ('<think>{1</think>{"score": 4, "explanation": "so"}', "so"),
        ('```json\n{"score": 4, "explanation": "It has <think>x</think>."}\n```', "It has <think>x</think>."),
        ("<think>{", "the reply ends inside its thoughts"),
        ("<think>4</think>", 'no JSON object with a "score" in the reply'),
        ("", "the reply is empty"),
        (" \n", "the reply is empty"),
        ("four", 'no JSON object with a "score" in the reply'),
        (CUT, "the reply ends inside a JSON object"),
        ('{"score": 4, "score": 2}', "two scores in one JSON object"),
        ('{"score": 4}{"score": 2}', "several objects with a score, and not the same one: 4, 2"),
        ('{"score": 5} Score: 1', "the object says score 5, the text after it 1"),
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


UNITS = [
    " ",
    "a",
    *"{}[9'\"\\“”\u2019\u2018",
    "{}",
    "“a",
    "”,",
    "{“",
    "{\u2018",
    "{”, ",
    '” "',
    "”,a",
    "”, a",
    "<think>",
    "</think>",
    "\n<think>{",
    "a </think>{",
    '{"',
    '{"\\"',
    '\\"',
    "{'",
    "{/*",
    "{//",
    "{#",
    "{,",
    '{"a":',
    '{"score",}',
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), ("{“score”: “”,", "}"), ('{"', ""), ('{"score": 4, "x": ', "}"), ('{"score": 4, "x": "', '"}')],
)
def test_reading_takes_time_linear_in_the_length(unit: str, before: str, after: str) -> None:
    started = time.thread_time()  # other programs may keep the machine busy
    parse(before + unit * (200_000 // len(unit)) + after)
    assert time.thread_time() - started < 2  # 0.2 s at most; a quadratic reader needs minutes


FRAGMENTS = [*"{}[]:,\"'\\/*#46\n “”„\u2018\u2019", "score", "//", "True", "<think>", "</think>", "\\frac"]
OBJECTS = ['{"score": 4}', "{'score': 6,}", '{"score": ', WHOLE]
replies = st.text() | st.lists(st.sampled_from(FRAGMENTS + OBJECTS)).map("".join)


def is_sound(reading: Reading, raw: str) -> bool:
    scored = reading.score in (1, 2, 3, 4, 5) and reading.read_by in ("json", "lenient")
    unscored = reading.score is None and reading.read_by == "unreadable" and reading.explanation != ""
    return reading.raw == raw and scored != unscored


@given(replies)
def test_any_text_gives_a_score_from_1_to_5_or_a_reason(raw: str) -> None:
    assert is_sound(parse(raw), raw)


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), replies)
def test_any_mutation_of_a_good_reply_gives_a_score_or_a_reason(start: int, end: int, patch: str) -> None:
    raw = WHOLE[:start] + patch + WHOLE[end:]
    assert is_sound(parse(raw), raw)


texts = st.text(st.characters(exclude_categories=["Cs"]))
prose = texts.map(lambda text: text.replace("{", "").replace("}", ""))
# No judge writes a backspace or a form feed; what follows a line break or a tab may be the name of a LaTeX command.
sayings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\b\f")).filter(
    lambda text: not re.search(r"[\n\r\t][a-z]", text)
)


@given(prose, sayings, st.integers(1, 5), prose)
def test_an_object_in_brace_free_prose_is_read_as_itself(before: str, said: str, score: int, after: str) -> None:
    reading = parse(before + json.dumps({"explanation": said, "score": score}) + after)
    assert (reading.score, reading.explanation) == (score, said)


FORMULAS = [r"\(x\)", r"\sigma", r"\frac{1}{2}", r"\beta_i", r"\nabla", r"\theta", r"\rho^2", r"\right]", r"\%", r"\,"]
said_in_latex = st.lists(st.sampled_from([*FORMULAS, "so", "{x}", "{", "it's", "“yes”", "$"])).map(" ".join)
DECORATIONS: dict[str, Callable[[str], str]] = {
    "nothing": lambda reply: reply,
    "a fence": lambda reply: f"```json\n{reply}\n```",
    "prose": lambda reply: f"Here it is, isn't it:\n{reply}\nThat's it.",
    "a byte-order mark": lambda reply: f"\ufeff{reply}",
    "a thought": lambda reply: f"<think>\nThe set {{1, 2 and the user's \"wish.\n</think>\n{reply}",
    "the end of a thought": lambda reply: f"A set {{1, 2 and the user's \"wish.\n</think>\n\n{reply}",
    "a draft": lambda reply: f'<thinking>Perhaps {{"score": 1}}.</thinking>{reply}',
}


@pytest.mark.parametrize("decoration", DECORATIONS)
@pytest.mark.parametrize("quotes", [('"', '"'), ("“", "”"), ("„", "“")], ids="".join)
@given(said=said_in_latex, score=st.integers(1, 5))
@settings(max_examples=20)  # in each of 21 forms
def test_latex_that_is_not_escaped_is_read_as_written_in_whatever_stands_around(
    decoration: str, quotes: tuple[str, str], said: str, score: int
) -> None:
    opening, closing = quotes
    reply = f'{{"explanation": "{said}", "score": {score}}}'
    reply = re.sub(r'"([^"]*)"', lambda match: f"{opening}{match[1]}{closing}", reply)
    reading = parse(DECORATIONS[decoration](reply))
    assert (reading.score, reading.explanation) == (score, said)


def test_the_only_other_text_is_the_explanation_whatever_it_is_called() -> None:
    assert parse('{"reason": "It is short.", "score": 4}').explanation == "It is short."
    assert parse('{"reason": "It is short.", "of": "the answer", "score": 4}').explanation == ""
    assert parse('{"score": "4"}').explanation == ""


@given(st.sampled_from(["think", "Thinking", "reasoning", "thought"]), texts, st.integers(1, 5))
def test_whatever_is_thought_is_no_part_of_the_reply(name: str, thought: str, score: int) -> None:
    reading = parse(f'<{name}>{thought}</{name}>\n{{"explanation": "", "score": {score}}}')
    assert (reading.score, reading.read_by) == (score, "json")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.integers(1, 5))
def test_a_python_dict_is_read_as_itself(said: str, score: int) -> None:
    reading = parse(repr({"explanation": said, "score": score, "sure": True}))
    assert (reading.score, reading.explanation) == (score, said)


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
    vote = median_of([Reading(each, "", "json", "") for each in scores])
    assert (vote.score, vote.spread, vote.flips) == (score, spread, flips)
    assert (vote.scored, vote.unscored) == (len(scores) - scores.count(None), scores.count(None))


@pytest.mark.parametrize(
    ("explanation", "copied"),
    [
        ("It names the capital.", True),
        (" it names\nthe  CAPITAL", True),
        ("It names the capital!", True),
        ("It names the capital of France.", False),
        ("names the capital.", False),
        ("", False),
        ("...", False),
    ],
)
def test_an_explanation_is_copied_if_it_is_an_examples_word_for_word(explanation: str, copied: bool) -> None:
    assert is_copied(explanation, ["Another one.", "It names the capital.", ""]) is copied


@given(st.text(min_size=1, max_size=100), st.text(max_size=400))
def test_a_phrase_again_and_again_is_a_loop_wherever_it_is_cut(phrase: str, before: str) -> None:
    loop = before + phrase * (500 // len(phrase))
    assert all(repeats_itself(loop[: len(loop) - cut]) for cut in range(len(phrase)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        CUT,
        "-" * 60,
        "no, " * 40,
        "".join(f"{number}. It names the capital.\n" for number in range(50)),
        "The same long phrase, but only three times in all, which may well happen by chance in a list. " * 3,
        "It names the capital. " * 50 + "It also names the river that flows through it.",
    ],
)
def test_a_reply_that_goes_on_is_no_loop(text: str) -> None:
    assert not repeats_itself(text)
