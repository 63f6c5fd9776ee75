"""From text to a JSON object: strict JSON, and what judges write for JSON.

Read as meant: prose and fences around the object, comments, trailing and missing commas, single and curly quotes, bare
keys, literals of others, Chinese punctuation, blanks that nobody sees, line breaks and lone backslashes inside strings.
"""

import json
import re
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from flowkit.base.json_text import JsonObject

QUOTED = 100  # characters of a reply that a message may repeat
_LITERALS = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false", "NULL": "null"}
_SIGNS = str.maketrans({"\uff1a": ":", "\uff0c": ",", **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", "")})  # Chinese
_NOISE = re.compile(r"(?:\\[nrt])+|(?<=\d)\.(?=\Z)")  # outside strings: a line break in two signs, the point of "4."
MOST_BRACES = 5  # that are prose; each costs another look at all that follows

# JSON has a meaning for \n, \r and \t; before the rest of these names they are the backslash of a LaTeX command.
# Left out are \ne, \ni and the like: a line may well begin with "e.g." or "i)".
_COMMAND = re.compile(
    r"""nabla|nearrow|neg|neq|newline|nexists|ngeq|nleq|nmid|nolimits|nonumber|not|notin|nparallel|nsim|nu|nwarrow
    |rangle|rbrace|rbrack|rceil|rfloor|rho|right|rightarrow|rightharpoonup|rightleftharpoons|rm|rtimes|rvert
    |tag|tan|tanh|tau|tbinom|text|textbf|textcolor|textit|textrm|textstyle|texttt|tfrac|therefore|theta|tilde|times
    |to|top|triangle|triangleleft|triangleright""",
    re.VERBOSE,
)
_BACKSLASH = re.compile(r"""\\((?P<json>u[0-9a-fA-F]{4}|["\\/])|[A-Za-z]+|.)""", re.DOTALL)

_OPENING = "\"'“”„\u2018"  # quotes that a string may begin with
_QUOTE = rf"[{_OPENING}\u2019]"
_KEY = rf"{_QUOTE}?\w+{_QUOTE}?\s*:"  # no blanks inside the quotes: they would take time quadratic in their number
# A curly quote ends a string only where JSON goes on after it: a text in curly quotes may have some of its own.
_BEGUN = re.compile(rf"{{\s*(?:{_QUOTE}|\w+\s*(?::|\Z)|\Z)")  # an object, as far as it goes
_GOES_ON = rf"\s*(?:[}}\]]|,\s*(?:[}}\]]|{_KEY}))"


def _curly(opening: str, closing: str) -> str:
    inside, quote = rf"[^\\{closing}]*", rf"[{closing}]"
    return (
        rf"[{opening}]\s*\w+\s*{quote}(?=\s*:)"  # a key
        rf"| [{opening}]{inside}(?:(?:\\.|{quote}(?!{_GOES_ON})){inside})*(?:{quote}|\\?\Z)"
    )


_IN_DOUBLE, _IN_SINGLE = _curly("“”„", '“”"'), _curly("\u2018", "\u2019'")
# Every alternative matches in linear time and an unclosed string or comment runs to the end of the text, so that
# reading takes time linear in the length of the reply.
_TOKEN = re.compile(
    rf"""
      "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)
    | (?<!\w)'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)  # after a letter it is an apostrophe
    | {_IN_DOUBLE}
    | {_IN_SINGLE}
    | //[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z)
    | [^\s{{}}\[\],:\uff1a\uff0c\#/{_OPENING}]+            # a number, a literal or an unquoted key
    | \S                                         # punctuation
    """,
    re.DOTALL | re.VERBOSE,
)


def whole_object(text: str, key: str) -> JsonObject:
    """Return the object that the whole text is, in strict JSON; its keys are in lower case, its numbers are text.

    Raises ValueError where the text is anything else, or the object has no `key`.
    """
    fields = _load(text, key)
    if not isinstance(fields, dict) or key not in fields:
        raise ValueError(f'the reply is no JSON object with a "{key}"')
    return _load(_with_latex(text), key) if "\\" in text else fields


@dataclass(frozen=True)
class Found:
    """An object in a text, which stands there from `start` to `end`."""

    start: int
    end: int
    fields: JsonObject


def objects_with(text: str, key: str) -> list[Found]:
    """Return the outermost objects with `key` in order, however nearly they are JSON, as `whole_object` does.

    Earlier ones that cannot be read are left out: they may be prose. Raises ValueError that says what is wrong where
    there is none, where the text ends inside an object, and where the last one cannot be read.
    """
    found = list[Found]()
    for start, end in reversed(_spans(text)):
        written = text[start:end]
        if key in written.lower():  # any other braces are prose
            with suppress(ValueError, RecursionError) if found else nullcontext():
                fields = _load_leniently(written, key)
                if key in fields:
                    found.insert(0, Found(start, end, fields))
    if not found:
        raise ValueError(f'no JSON object with a "{key}" in the reply')
    return found


def shortened(text: str) -> str:
    """Return the start of `text`, short enough for a message."""
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."


def _load(text: str, key: str, strict: bool = True) -> Any:
    def fields(pairs: list[tuple[str, Any]]) -> JsonObject:
        found: JsonObject = {}
        for written, value in pairs:
            name = written.strip().lower()
            if name == key and found.get(name, value) != value:  # json.loads would keep the last
                raise ValueError(f"two {key}s in one JSON object")
            found[name] = value
        return found

    # Numbers stay text: no overflow, no limit on digits, and 4 and "4" are read alike.
    return json.loads(text, strict=strict, object_pairs_hook=fields, parse_int=str, parse_float=str, parse_constant=str)


def _load_leniently(text: str, key: str) -> JsonObject:
    inside = text[1:-1].strip()
    if inside.startswith("{") and inside.endswith("}"):  # braces doubled, as in a template
        text = inside
    try:
        fields: JsonObject = _load(_as_json(text), key, strict=False)  # not strict: line breaks inside strings
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at {shortened(error.doc[error.pos :])}") from None
    return fields


def _spans(text: str) -> list[tuple[int, int]]:
    """Return where the outermost {...} of the text begin and end; ValueError if the text ends inside one.

    A brace that opens no key and is never closed is prose.
    """
    spans, end, prose = list[tuple[int, int]](), 0, 0
    while (start := text.find("{", end)) >= 0:
        try:
            end = _end_of_object(text, start)
            spans.append((start, end))
        except ValueError:
            prose, end = prose + 1, start + 1
            if _BEGUN.match(text, start) or prose > MOST_BRACES:
                raise
    return spans


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


def _as_json(text: str) -> str:
    tokens: list[str] = []
    for written in _TOKEN.findall(text):
        if written.startswith(("#", "//", "/*")):
            continue
        token = _with_latex(_double_quoted(written)) if written[0] in _OPENING else _plain(written)
        if not token:
            continue
        if token in ("}", "]") and tokens[-1] == ",":
            tokens.pop()
        elif token == ":":
            if tokens[-1].isidentifier():
                tokens[-1] = f'"{tokens[-1]}"'
            if tokens[-2:-1] not in (["{"], [","]):  # before a key
                tokens.insert(-1, ",")
        tokens.append(token)
    return " ".join(tokens)


def _plain(token: str) -> str:
    """Return what stands outside strings as JSON writes it."""
    token = _NOISE.sub("", token.translate(_SIGNS))
    return _LITERALS.get(token, token)


def _double_quoted(token: str) -> str:
    """Put straight double quotes around a string in other ones."""
    if token[0] == '"':
        return token
    inner = re.sub(r'\\.|"', lambda match: '\\"' if match[0] == '"' else match[0], token[1:-1], flags=re.DOTALL)
    return f'"{inner}"'


def _with_latex(text: str) -> str:
    """Double every backslash that begins no escape of JSON's, such as those of LaTeX."""
    return _BACKSLASH.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    said: str = match[1]
    if said == "'":  # needs no backslash in JSON, and may have none
        return said
    if match["json"] or (said[0] in "nrt" and not _COMMAND.fullmatch(said)):
        return match[0]
    return f"\\{match[0]}"  # \beta and \frac too: \b and \f are JSON, but no judge writes a backspace or a form feed
