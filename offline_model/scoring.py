"""Knows how well a statement applies to an answer, by fixed rules and from 1 to 5.

| rule | the statement                            | 5           | 4       | 3       | 2        | 1           |
| ---- | ---------------------------------------- | ----------- | ------- | ------- | -------- | ----------- |
| 1    | "should be N", "equals N"                | N is there  |         |         |          | it is not   |
| 2    | speaks of concise, consise, brief, short | <= 25 words | <= 45   | <= 80   | <= 140   | more, or 0  |
| 3    | speaks of detailed, thorough, long       | >= 80 words | >= 45   | >= 25   | >= 10    | fewer       |
| 4    | has content words: share in the answer   | all         | >= 0.67 | >= 0.34 | some     | none        |

Where the judge is shown the question, and the statement speaks of it ("It answers the question", "It is relevant"),
rule 4 looks in the answer for the question's content words instead of the statement's. Likewise for the reference ("It
agrees with the reference") and for the answer before ("It repeats the previous answer").

Rule 1 decides alone. Of 2 and 3 the first that applies counts, and if 4 applies as well, the lower score decides.
A statement to which no rule applies scores 3.

N is a number in digits or a word from zero to ten, but no length: "should be one sentence" is not about the number 1.
Content words are the statement's words without those that any statement may have; within quotation marks, all words.
Of the question and the like, a word counts that begins as one of the answer does: "asked" as "ask".
By rule 4 an answer that says it cannot answer gets 2 at most. Negation is not understood.
"""

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from offline_model.words import CONCISE, DETAILED, NUMBER, digits, numbers, plain_words, straight, word_set

STOP_WORDS = word_set(
    "a an and are as at be been but by can could did do does for from had has have how i if in into is it its may must "
    "no not of on one or s should so t than that the their them then there these they this those to was were what when "
    "where which who why will with would you your"
)
INSTRUCTION_WORDS = word_set(
    "answer answers contain contains describe describes describing description explain explains explaining explanation "
    "include includes including line lines mention mentions mentioning paragraph paragraphs provide provides reply "
    "response result sentence sentences statement statements tell tells text user word words"
)
NO_CONTENT = STOP_WORDS | INSTRUCTION_WORDS | CONCISE | DETAILED
EXCUSES = ("cannot answer", "can't answer", "no language model")

_EXPECTED = re.compile(
    rf"\b(?:should\s+(?:be|equal)|equals)\s+({NUMBER})(?![.,]?\w)"
    r"(?!\s+(?:\w+\s+)?(?:of|words?|sentences?|paragraphs?|lines?)\b)",  # "one short sentence" is a length
    re.IGNORECASE,
)
STATEMENT = "statement"
_SPEAKS_OF = {
    "question": re.compile(r"\b(?:the|this|user's) (?:question|query)\b|\bwhat was asked\b|\brelevant\b"),
    "reference": re.compile(r"\bthe reference\b|\bexpected (?:answer|output|result)\b|\bground.truth\b"),
    "previous answer": re.compile(r"\b(?:previous|earlier|last|preceding) (?:answer|reply|response|message)\b"),
}
_QUOTED = re.compile(r"""(?<!\w)'([^']+)'(?!\w)|"([^"]+)\"""")


@dataclass(frozen=True)
class Score:
    """`value`: 1 (does not apply) to 5 (applies fully). `reason`: the rule and what it saw, in a sentence."""

    value: int
    reason: str


@dataclass(frozen=True)
class Shown:
    """What the judge is shown besides. previous: the answer before, the last one of the history."""

    question: str | None = None
    reference: str | None = None
    previous: str | None = None


NOTHING_ELSE = Shown()


def score(answer: str, statement: str, shown: Shown = NOTHING_ELSE) -> Score:
    """Return how well `statement` applies to `answer`; any text will do for both."""
    statement = straight(statement)
    if by_number := _by_number(answer, statement):
        return by_number
    found = [rule for rule in (_by_length(answer, statement), _by_content(answer, statement, shown)) if rule]
    return min(found, key=lambda each: each.value, default=Score(3, "the statement has nothing to look for."))


def _by_number(answer: str, statement: str) -> Score | None:
    expected = _EXPECTED.search(statement)
    if not expected:
        return None
    number = digits(expected[1])
    if number in numbers(answer):
        return Score(5, f"the answer has the number {number}.")
    return Score(1, f"the answer does not have the number {number}.")


def _by_length(answer: str, statement: str) -> Score | None:
    wanted = set(plain_words(_QUOTED.sub(" ", statement)))
    count = len(answer.split())
    if wanted & CONCISE:
        value = 5 - bisect_left((25, 45, 80, 140), count) if count else 1
        return Score(value, f"the answer should be concise and has {count} words.")
    if wanted & DETAILED:
        value = 1 + bisect_right((10, 25, 45, 80), count)
        return Score(value, f"the answer should be detailed and has {count} words.")
    return None


def _by_content(answer: str, statement: str, shown: Shown) -> Score | None:
    whose, text = _spoken_of(statement, shown)
    wanted, found = _content_words(text), set(plain_words(answer))
    if not wanted:
        return None
    there = wanted & found if whose == STATEMENT else {word for word in wanted if _is_there(word, found)}
    share = len(there) / len(wanted)
    value = 1 if share == 0 else 5 if share == 1 else 2 + (share >= 0.34) + (share >= 0.67)
    if any(excuse in straight(answer).lower() for excuse in EXCUSES):
        return Score(min(value, 2), "the answer says that it cannot answer.")
    return Score(value, f"the answer has {share:.0%} of the {whose}'s content words.")


def _spoken_of(statement: str, shown: Shown) -> tuple[str, str]:
    """Return the name and the text of what the statement speaks of, as far as it is shown; else the statement's own."""
    texts = {"question": shown.question, "reference": shown.reference, "previous answer": shown.previous}
    own_words = _QUOTED.sub(" ", statement).lower()
    return next(
        ((name, text) for name, text in texts.items() if text is not None and _SPEAKS_OF[name].search(own_words)),
        (STATEMENT, statement),
    )


def _is_there(word: str, found: set[str]) -> bool:
    return word in found or any(
        min(len(word), len(each)) >= 3 and (each.startswith(word) or word.startswith(each)) for each in found
    )


def _content_words(statement: str) -> set[str]:
    quoted = " ".join(match[0] for match in _QUOTED.finditer(statement))
    others = plain_words(_QUOTED.sub(" ", statement))
    return set(plain_words(quoted)) | (set(others) - NO_CONTENT)
