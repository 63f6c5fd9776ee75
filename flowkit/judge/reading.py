"""What a judge's reply means: a score from 1 to 5 with its explanation, or why there is none."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import median_low
from typing import Any

from flowkit.base.scale import PASS_MARK

_SCORE = re.compile(r"[1-5](\.0+)?")  # an integer from 1 to 5, as judges write it: 4 or 4.0
_LITERALS = {"True": "true", "False": "false", "None": "null"}  # Python's
_QUOTED = 100  # characters of a reply that a message may repeat

# Every alternative matches without backtracking and an unclosed string or comment runs to the end of the text,
# so reading takes time linear in the length of the reply.
_TOKEN = re.compile(
    r"""
      "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)
    | (?<!\w)'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)  # after a letter it is an apostrophe
    | //[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z)
    | [^\s{}\[\],:"'#/]+                         # a number, a literal or an unquoted key
    | \S                                         # punctuation
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Verdict:
    """One judge's view of one statement about one answer.

    score: 1 (does not apply) to 5 (applies fully), or None when no score could be read.
    explanation: the judge's, or one sentence on what was wrong, fit to be sent back to the judge.
    read_by: "json" (the whole reply is the object), "lenient" (an object in text, or nearly JSON), or
        "unreadable" (no score); `flowkit.judge.asking`, which knows how the reply was asked for, tells it more finely.
    raw: the reply as received.
    asks: how often the judge was asked for it.
    """

    score: int | None
    explanation: str
    read_by: str
    raw: str
    asks: int = 1


@dataclass(frozen=True)
class Vote:
    """Several verdicts on the same statement, as one score.

    score: the median of the scored verdicts; None when none was scored.
    spread: highest minus lowest score; None when none was scored.
    flips: how many scores lie on the other side of the pass mark than the median.
    """

    score: int | None
    spread: int | None
    flips: int
    scored: int
    unscored: int


def parse(raw: str) -> Verdict:
    """Read a judge's reply; whatever the text, it never raises.

    The last object with a score decides. If it cannot be read, or if the text ends inside an object, there is no
    score, even when an earlier object has one: the judge had not finished, and the earlier one may be an example.
    """
    try:
        fields, read_by = _deciding_object(raw)
        score, explanation = _score(fields["score"]), _text(fields.get("explanation") or "")
    except RecursionError:
        score, explanation, read_by = None, "the JSON object is nested too deeply", "unreadable"
    except ValueError as error:
        score, explanation, read_by = None, str(error), "unreadable"
    # An emoji cut in half ("\ud83d") is valid in JSON, but could not be written to a file.
    return Verdict(score, explanation.encode("utf-8", "replace").decode(), read_by, raw)


def median_of(verdicts: list[Verdict]) -> Vote:
    """Return the median score of repeated judgements.

    Of an even number it is the lower middle: never a score that no judge gave, and never flattering.
    """
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    unscored = len(verdicts) - len(scores)
    if not scores:
        return Vote(None, None, 0, 0, unscored)
    median = median_low(scores)
    flips = sum((score >= PASS_MARK) != (median >= PASS_MARK) for score in scores)
    return Vote(median, max(scores) - min(scores), flips, len(scores), unscored)


def _deciding_object(raw: str) -> tuple[dict[str, Any], str]:
    """Return the object with the score and the step that read it, or raise ValueError saying what is wrong."""
    if not raw.strip():
        raise ValueError("the reply is empty")
    with suppress(ValueError, RecursionError):
        whole = _loads(raw)
        if isinstance(whole, dict) and "score" in whole:
            return whole, "json"
    for text in reversed(_objects(raw)):
        if "score" in text.lower():  # any other braces are prose
            fields = _loads_leniently(text)
            if "score" in fields:
                return fields, "lenient"
    raise ValueError('no JSON object with a "score" in the reply')


def _objects(text: str) -> list[str]:
    """Return the outermost {...} of the text in order; ValueError if the text ends inside one."""
    found, end = [], 0
    while (start := text.find("{", end)) >= 0:
        end = _end_of_object(text, start)
        found.append(text[start:end])
    return found


def _end_of_object(text: str, start: int) -> int:
    depth = 0
    for match in _TOKEN.finditer(text, start):
        token = match[0]
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            if depth == 0:
                return match.end()
    raise ValueError("the reply ends inside a JSON object")


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from its pairs, with the keys in lower case; json.loads would keep the last of two scores."""
    fields: dict[str, Any] = {}
    for key, value in pairs:
        name = key.strip().lower()
        if name == "score" and fields.get(name, value) != value:
            raise ValueError("two scores in one JSON object")
        fields[name] = value
    return fields


# Numbers stay text: no overflow, no limit on digits, and 4 and "4" are read alike.
_loads = partial(json.loads, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_fields)


def _loads_leniently(text: str) -> Any:
    try:
        return _loads(_as_json(text), strict=False)  # not strict: line breaks inside strings
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at {_shortened(error.doc[error.pos :])}") from None


def _as_json(text: str) -> str:
    """Rewrite what judges write for JSON: comments, trailing commas, single quotes, bare keys, Python literals."""
    tokens: list[str] = []
    for token in _TOKEN.findall(text):
        if token.startswith(("#", "//", "/*")):
            continue
        if token in ("}", "]") and tokens[-1] == ",":
            tokens.pop()
        elif token == ":" and tokens[-1].isidentifier():
            tokens[-1] = f'"{tokens[-1]}"'
        tokens.append(_double_quoted(token) if token[0] == "'" else _LITERALS.get(token, token))
    return " ".join(tokens)


def _double_quoted(token: str) -> str:
    escapes = {"\\'": "'", '"': '\\"'}
    inner = re.sub(r'\\.|"', lambda match: escapes.get(match[0], match[0]), token[1:-1], flags=re.DOTALL)
    return f'"{inner}"'


def _score(value: Any) -> int:
    written = value.strip() if isinstance(value, str) else ""
    if not _SCORE.fullmatch(written):
        raise ValueError(f"score must be an integer from 1 to 5, got {_shortened(_text(value)) or 'nothing'}")
    return int(written[0])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _shortened(json.dumps(value, ensure_ascii=False))


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."
