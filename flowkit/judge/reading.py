"""What a judge's reply means: a score on the scale with its explanation, or why there is none."""

import html
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from flowkit.base.json_text import JsonObject
from flowkit.base.scale import FIVE, Scale
from flowkit.judge.near_json import objects_with, shortened, whole_object

_THOUGHT = re.compile(  # one tag, of the families of DeepSeek, Mistral and Kimi, gpt-oss, Gemma, Cohere, OpenThinker
    r"""(?P<line>^[\ \t]*)?  # where it is the first on its line
    (?: (?P<end> </(?:\w+:)?(?:think|thinking|thought|reasoning|analysis)\ ?> | [\[◁]/think[\]▷]
               | <\|channel\|>final(?:\ (?:<\|constrain\|>)?\w+)?\ ?<\|message\|> | assistantfinal | <channel\|>
               | <\|END_THINKING\|> | <\|end_of_thought\|> )
      | <(?:\w+:)?(?:think|thinking|thought|reasoning|analysis)\ ?> | [\[◁]think[\]▷]
      | <\|channel\|>analysis<\|message\|> | <\|channel>thought | <\|START_THINKING\|> | <\|begin_of_thought\|> )""",
    re.MULTILINE | re.IGNORECASE | re.VERBOSE,
)
_SCORE_IN_PROSE = re.compile(r"(?<!confidence )score\W{0,8}[:=]\W{0,8}(-?\d+(?:\.\d+)?)", re.IGNORECASE)
_BESIDE = re.compile(r"(?:`+\w*)?[\[\]\s]*`*")  # a fence, a list: no prose
_FENCE = re.compile(r"\A\s*```\w*\s|```\s*\Z")
_LOOP = 200  # characters at the end of a reply; it repeats itself where they are one phrase, 4 times or more
_PHRASE = range(8, 501)  # characters


@dataclass(frozen=True)
class Reading:
    """What one reply of a judge means.

    score: on the scale, or None when no score could be read.
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
    """Several readings on the same statement, as one score.

    score: the median of those with a score; None when none has one.
    spread: highest minus lowest score; None when none has one.
    flips: how many scores lie on the other side of the pass mark than the median.
    """

    score: int | None
    spread: int | None
    flips: int
    scored: int
    unscored: int


def parse(raw: str, scale: Scale = FIVE) -> Reading:
    """Read a judge's reply; whatever the text, it never raises.

    The last object with a score decides. If it cannot be read, or if the text ends inside an object, there is no
    score, even when an earlier object has one: the judge had not finished, and the earlier one may be an example. Nor
    is there one where it may be a quotation, for an answer can contain an object with a score: see `_last_word`.
    """
    try:
        fields, read_by = _deciding_object(raw)
        score, explanation = _score(fields["score"], scale), _explanation(fields)
    except RecursionError:
        score, explanation, read_by = None, "the JSON object is nested too deeply", "unreadable"
    except ValueError as error:
        score, explanation, read_by = None, str(error), "unreadable"
    # An emoji cut in half ("\ud83d") is valid in JSON, but could not be written to a file.
    return Reading(score, explanation.encode("utf-8", "replace").decode(), read_by, raw)


def said_elsewhere(texts: Iterable[str]) -> str | None:
    """Return the first text that is an object with a score and nothing else; None where there is none.

    LiteLLM calls a tool with the object that it was asked for, vLLM thinks it.
    """
    for text in texts:
        bare = _FENCE.sub("", text)
        with suppress(ValueError, RecursionError):
            whole_object(bare, "score")
            return bare
    return None


def median_of(readings: list[Reading], scale: Scale = FIVE) -> Vote:
    """Return the median score of repeated judgements.

    Of an even number it is the lower middle: never a score that no judge gave, and never flattering.
    """
    scores = [reading.score for reading in readings if reading.score is not None]
    unscored = len(readings) - len(scores)
    if not scores:
        return Vote(None, None, 0, 0, unscored)
    median = median_low(scores)
    flips = sum((score >= scale.pass_mark) != (median >= scale.pass_mark) for score in scores)
    return Vote(median, max(scores) - min(scores), flips, len(scores), unscored)


def is_copied(explanation: str, explanations: Iterable[str]) -> bool:
    """Say whether it is word for word one of others; letter case, blanks and the end's punctuation do not matter."""
    return bool(folded := _folded(explanation)) and folded in map(_folded, explanations)


def repeats_itself(text: str) -> bool:
    """Say whether the text ends in a loop: the same phrase again and again, as models do that find no end."""
    for length in _PHRASE:
        end = text[-max(_LOOP, 4 * length) :]
        if len(end) < 4 * length:
            break
        if len(end) >= _LOOP and end[length:] == end[:-length]:
            return True
    return False


def _deciding_object(raw: str) -> tuple[JsonObject, str]:
    """Return the object with the score and the step that read it, or raise ValueError saying what is wrong."""
    if not raw.strip():
        raise ValueError("the reply is empty")
    with suppress(ValueError, RecursionError):
        return whole_object(raw, "score"), "json"  # whatever its texts say: they may speak of <think>
    said = _without_thoughts(_unescaped(raw))
    with suppress(ValueError, RecursionError):
        return whole_object(said, "score"), "json"
    return _last_word(said), "lenient"


def _unescaped(raw: str) -> str:
    """Return a reply as it was meant whose every quote is escaped, as in a string or on a page."""
    if '"' not in raw and "&quot;" in raw:
        return html.unescape(raw)
    with suppress(ValueError):
        return str(json.loads(f'"{raw}"', strict=False)) if '\\"' in raw else raw
    return raw


def _last_word(said: str) -> JsonObject:
    """Return the last object with a score, or raise ValueError where something in the text contradicts it.

    An object before it that says another score is an example only where prose comes before that one and nothing after
    the last: else the judge may have given its verdict first and quoted the answer then. Nor may prose after the last
    object give another score, which is also what the rest of an object looks like that a quotation has cut.
    """
    found = objects_with(said, "score")
    first, last = found[0], found[-1]
    before, after = said[: first.start], said[last.end :]
    scores = [_as_whole(_text(each.fields["score"])) for each in found]
    if len(set(scores)) > 1 and (_BESIDE.fullmatch(before.strip()) or not _BESIDE.fullmatch(after.strip())):
        raise ValueError(f"several objects with a score, and not the same one: {shortened(', '.join(scores))}")
    others = {_as_whole(other[1]) for other in _SCORE_IN_PROSE.finditer(after)} - {scores[-1]}
    if others:
        raise ValueError(f"the object says score {shortened(scores[-1])}, the text after it {shortened(others.pop())}")
    return last.fields


def _as_whole(score: str) -> str:
    """Return 4.0 as 4, for they are the same score."""
    return re.sub(r"\.0+$", "", score.strip())


def _without_thoughts(raw: str) -> str:
    """Return the reply without <think>...</think> and the like; ValueError if it ends inside them.

    A tag within an object may be part of what the judge says, so a thought begins before the first brace or at the
    start of a line. Templates such as DeepSeek-R1's write the first tag themselves and the reply has the last one
    only: then all before it is thought, if an object or nothing at all follows, and if it is not in the last object
    that can be read.
    """
    said, start, thinking = list[str](), 0, False
    first_brace, last_brace, end = raw.find("{"), raw.rfind("{"), len(raw.rstrip())
    readable = _last_readable(raw)
    for tag in _THOUGHT.finditer(raw):
        if not tag["end"]:
            if not thinking and (tag["line"] is not None or tag.start() < first_brace):
                said.append(raw[start : tag.start()])
                thinking = True
        elif thinking:
            start, thinking = tag.end(), False
        elif tag.end() == end or (last_brace >= tag.end() and tag.start() not in readable):
            said, start = [], tag.end()
    if thinking:
        raise ValueError("the reply ends inside its thoughts")
    return "".join([*said, raw[start:]])


def _last_readable(raw: str) -> range:
    """Return where the last object with a score stands; nowhere if it cannot be read."""
    with suppress(ValueError, RecursionError):
        last = objects_with(raw, "score")[-1]
        return range(last.start, last.end)
    return range(0)


def _score(value: Any, scale: Scale) -> int:
    if (score := scale.read(value)) is None:
        raise ValueError(f"score must be {scale.expected}, got {shortened(_text(value)) or 'nothing'}")
    return score


def _explanation(fields: JsonObject) -> str:
    """Return the explanation, or the only other text: some call it reason or justification."""
    if explanation := fields.get("explanation"):
        return _text(explanation)
    texts = [value for name, value in fields.items() if name != "score" and isinstance(value, str)]
    return texts[0] if len(texts) == 1 else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else shortened(json.dumps(value, ensure_ascii=False))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .!?…。")
