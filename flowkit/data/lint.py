"""Statements that nobody could judge from what the judge sees: the answer, and what it is shown besides.

| pointed out is a statement that       | for example                     | but not                          |
| ------------------------------------- | ------------------------------- | -------------------------------- |
| has no letter and no digit            | "", "..."                       | short                            |
| wants a number and says not of what   | result should be 1; total = 12  | the number of steps should be 3  |
| speaks of the question                | It answers the question.        | It ends with a question.         |
| speaks of another answer or message   | It repeats the previous answer. | Its last sentence sums up.       |
| speaks of what was expected           | It matches the expected output. | It names the reference guide.    |
| compares with what it does not quote  | It is the same as before.       | It is the same as "Yes".         |

Where the judge is shown the question, the third of them is left in peace and so is the number, for the question says
of what; where it is shown the history or a reference, so is what speaks of that.
What stands in quotation marks or after "says that" may stand in the answer, and points at nothing. The first rule
that fits counts. Rather a miss than a false alarm.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from flowkit.base.text import shown as display
from flowkit.data.records import Line

SHOWN = 60  # characters of a statement


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    why: str
    mend: str
    shown: frozenset[str]


def _rule(pattern: str, why: str, mend: str, *shown: str) -> _Rule:
    """Make a rule. shown: what mends such a statement where the judge is shown any of it."""
    return _Rule(re.compile(pattern, re.IGNORECASE | re.VERBOSE), why, mend, frozenset(shown))


_STRAIGHT = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}  # typographic quotation marks and apostrophes
_QUOTED = re.compile(r"""(?<!\w)'[^']+'(?!\w)|"[^"]+\"""")
_REPORTED = re.compile(
    r"\b(?:say|state|explain|tell|note|mention|claim|add|warn|show|points? out)s?\b[^.;!?]{0,40}?\bthat\b[^.;!?]*",
    re.IGNORECASE,
)
_RULES = (
    _rule(
        r"\A [\W_]* \Z",
        "it says nothing",
        "write what should hold of the answer, or leave it out",
    ),
    _rule(
        r"""
        \A \s* (?:(?:the|its)\s+)? (?:(?:final|exact|overall|returned|return|numeric)\s+)?
        (?:result|output|outcome|value|number|count|total|sum) \s*
        (?:(?:should|must|shall|has\s+to|needs\s+to)\s+(?:be|equal) | \bis\b | \bequals?\b | =+ | :) \s*
        (?:[-+]?\d[\d.,]*%? | zero|one|two|three|four|five|six|seven|eight|nine|ten) \s* [.!]? \s* \Z
        """,
        "it wants a number and does not say of what",
        'say what is counted, such as "It says that the user asked 1 question."',
        "question",
    ),
    _rule(
        r"""
        \b (?:the|this|asked|original|user'?s) \s+ (?:question|query) \b
        (?! \s* (?:["':] | (?:mark|count|of|whether|how|what|why|who|when|where|which)\b))
        """,
        "it speaks of the question, which the judge does not see",
        'put what was asked into the statement, such as "It says what ChatGPT is."',
        "question",
    ),
    _rule(
        r"""
        \b (?:the|its|my|your) \s+ (?:previous|earlier|prior|preceding|last|other)
        \s+ (?:answer|reply|response|message|turn|question|output) \b
        """,
        "it speaks of another message, which the judge does not see",
        "put what that message says into the statement",
        "chat_history",
    ),
    _rule(
        r"""
        \b (?:expected|reference|gold|golden) \s+ (?:answer|result|output|value|response|reply|text|solution)s? \b
        | \b ground[ -]truth \b
        | \b the \s+ reference \b (?! \s+ (?:documentation|docs|guide|manual|page|section|implementation)\b)
        """,
        "it speaks of what was expected, which the judge does not see",
        "put the expected text itself into the statement",
        "reference",
    ),
    _rule(
        r"""(?<!\bnot\ ) \b the \s+ same \s+ as \b (?! \s* ["'])""",
        "it compares with something that the judge does not see",
        "put that text itself into the statement, in quotation marks",
        "chat_history",
        "reference",
    ),
)


def lint(lines: Iterable[Line], shown: Collection[str] = ()) -> list[str]:
    """Return each finding once: the statement's name and text, what is wrong with it and how to mend it.

    shown: which of "question", "chat_history" and "reference" the judge's prompt shows, as far as a line has them.
    """
    seen_by_line = ((line, frozenset(name for name in shown if getattr(line, name))) for line in lines)
    findings = (_finding(name, text, seen) for line, seen in seen_by_line for name, text in line.statements.items())
    return list(dict.fromkeys(finding for finding in findings if finding))


def _finding(name: str, statement: str, seen: frozenset[str]) -> str | None:
    own_words = _REPORTED.sub("x", _QUOTED.sub('"x"', statement.translate(_STRAIGHT)))
    for rule in _RULES:
        if rule.pattern.search(own_words) and not rule.shown & seen:
            return f"statement {display(name)}, {display(statement, SHOWN)}: {rule.why}; {rule.mend}"
    return None
