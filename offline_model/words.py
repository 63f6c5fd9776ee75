"""Knows what a word is, to the wire and to the rules."""

import re


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Spellings with an s are in the tutorial's own data.
CONCISE = word_set("concise concisely consise consisely brief briefly short")
DETAILED = word_set("detailed detail details thorough thoroughly long")

_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {name: str(number) for number, name in enumerate(_NAMES)}
NUMBER = rf"-?[0-9]+(?:[.,][0-9]+)*|{'|'.join(NUMBERS)}"  # a regular expression, to be used without regard to case

_PIECE = re.compile(r"\s*(?:\w+|[^\w\s]+)|\s+")
_WORD = re.compile(r"[^\W_]+")
_MENTION = re.compile(
    r"\b(?:this|that|the|which|any|each|every|another|no) one\b"  # stands for a thing, not for 1
    rf"|(?<!\w)(?P<number>no(?=\s+\w)|{NUMBER})(?!\w)",  # "no questions" are 0
    re.IGNORECASE,
)


def pieces(text: str) -> list[str]:
    """Cut `text` into words and runs of punctuation, each with the white space before it; joined they are `text`."""
    return _PIECE.findall(text)


def plain_words(text: str) -> list[str]:
    """Return the words of `text` in order, in lower case and without punctuation; promptflow counts as two words."""
    return _WORD.findall(text.lower().replace("promptflow", "prompt flow"))


def numbers(text: str) -> set[str]:
    """Return the numbers that stand alone in `text`, as digits: "You asked 2, or three" has "2" and "3"."""
    return {digits(match["number"]) for match in _MENTION.finditer(text) if match["number"]}


def digits(number: str) -> str:
    """Write a match of `NUMBER`, or "no", in digits: "Two" is "2", "1,000" is "1000"."""
    return {**NUMBERS, "no": "0"}.get(number.lower(), number.replace(",", ""))


def straight(text: str) -> str:
    """Return `text` with typographic quotation marks and apostrophes made plain."""
    return text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
