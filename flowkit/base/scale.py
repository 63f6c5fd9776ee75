"""The scales of a score: what a judge may give, how it is written, what counts as a pass. No other module knows them.

A statement is scored from 1 to 5 unless a checklist says "scale: pass".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from numbers import Real

_INTEGER = re.compile(r"([0-9]{1,9})(\.0+)?")  # as judges write it: 4 or 4.0
# What judges write for true and false; not 1 and 0: 1 may be meant as the lowest of 1 to 5.
AS_WORDS = {"pass": 1, "yes": 1, "fail": 0, "no": 0}


@dataclass(frozen=True)
class Scale:
    """Whole numbers, the lowest where a statement does not hold at all.

    name: as checklists and files call it. pass_mark: the lowest score with which a statement holds.
    expected: what the judge is to write, in words. words: what it may write for a number, in lower case; without any,
    the number itself.
    """

    name: str
    scores: range
    pass_mark: int
    expected: str
    words: tuple[tuple[str, int], ...] = ()

    @property
    def lowest(self) -> int:
        """The score of a statement that does not hold at all."""
        return self.scores[0]

    @property
    def highest(self) -> int:
        """The score of a statement that holds fully."""
        return self.scores[-1]

    @property
    def width(self) -> int:
        """The largest change of a score."""
        return self.highest - self.lowest

    @property
    def schema(self) -> dict[str, object]:
        """The JSON schema of a score in the judge's reply."""
        return {"type": "boolean"} if self.words else {"type": "integer", "enum": list(self.scores)}

    def read(self, value: object) -> int | None:
        """Return the score that the judge means by `value`, whose numbers are text (4, 4.0, "4"); None for no score."""
        if self.words:
            text = json.dumps(value) if isinstance(value, bool) else value
            return {**AS_WORDS, **dict(self.words)}.get(text.strip().lower()) if isinstance(text, str) else None
        number = _INTEGER.fullmatch(value.strip()) if isinstance(value, str) else None
        return int(number[1]) if number and int(number[1]) in self.scores else None

    def as_score(self, value: object) -> int | None:
        """Return the score that `value` is, or None.

        Data frames turn 4 into 4.0 or into an integer of numpy, and the tutorial's own judge writes "4"; each is a 4.
        """
        if isinstance(value, str):
            return next((score for score in self.scores if value.strip() == str(score)), None)
        if isinstance(value, Real) and not isinstance(value, bool) and value in self.scores:
            return int(float(value))
        return None

    def share(self, score: float) -> float:
        """Return where a score lies between the lowest, 0, and the highest, 1."""
        return (score - self.lowest) / self.width

    def shown(self, score: int) -> str:
        """Return a score as people read it: 4, or pass."""
        return str(score) if not self.words else ("fail", "pass")[score]

    def written(self, score: int) -> str:
        """Return a score as the judge is to write it: 4, or true."""
        return next((word for word, of in self.words if of == score), str(score))


FIVE = Scale("1 to 5", range(1, 6), 4, "an integer from 1 to 5")  # 1: the statement does not apply; 5: it applies fully
PASS = Scale("pass", range(2), 1, "true or false", (("true", 1), ("false", 0)))
SCALES = {scale.name: scale for scale in (FIVE, PASS)}
SCORES, PASS_MARK, as_score = FIVE.scores, FIVE.pass_mark, FIVE.as_score  # of people's labels, which are from 1 to 5


def scale_named(name: str | None) -> Scale:
    """Return the scale of that name, 1 to 5 for None. Raises ValueError for any other."""
    if (scale := SCALES.get(name or FIVE.name)) is None:
        raise ValueError(f"scale must be {' or '.join(map(repr, SCALES))}, got {name!r}")
    return scale
