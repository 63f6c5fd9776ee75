"""What the rows of a run say together. The sums of shards add up to the sums of the whole, in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowkit.scores import metrics
from flowkit.scores.metrics import Tally
from flowkit.scores.times import lengths, percentiles

COUNTS = ("total", "answered", "judged", "failed")
TOKENS = ("prompt", "completion")


@dataclass
class Sums:
    """The scores by statement, and how many lines, tokens and seconds of each length there were.

    lines: by `COUNTS`. tokens: by `TOKENS`. times: by kind, how often each length was seen (see `lengths`).
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    times: dict[str, Counter[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Sums:
        """Sum up rows as batch.py writes them; a line that failed counts in the bounds of its statements' means."""
        judged = [row["verdicts"] for row in rows if row["verdicts"] is not None]
        failed = [row["statements"] for row in rows if row["verdicts"] is None]
        answered = sum(row["answer"] is not None for row in rows)
        counts = {"total": len(rows), "answered": answered, "judged": len(judged), "failed": len(failed)}
        tokens = {kind: sum((row["tokens"] or {}).get(kind) or 0 for row in rows) for kind in TOKENS}
        times = lengths(row["timing"] for row in rows if row["timing"])
        return cls(metrics.tallies(judged, failed), Counter(counts), Counter(tokens), times)

    def add(self, other: Sums) -> None:
        """Add the sums of other rows."""
        self.tallies = metrics.merged([self.tallies, other.tallies])
        self.lines.update(other.lines)
        self.tokens.update(other.tokens)
        for kind, seen in other.times.items():
            self.times.setdefault(kind, Counter()).update(seen)

    def figures(self, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return what metrics.json holds. names: of statements, in the order to keep, as far as they matter."""
        tallies = {name: self.tallies[name] for name in (*names, *self.tallies) if name in self.tallies}
        return {
            **metrics.flat(tallies, total=self.lines["judged"]),
            **{name: self.lines[name] for name in COUNTS},
            "timing": percentiles(self.times),
            "tokens": {kind: self.tokens[kind] for kind in TOKENS},
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain JSON values."""
        tallies = {name: [*tally.counts, tally.unscored] for name, tally in self.tallies.items()}
        times = {kind: list(seen.items()) for kind, seen in self.times.items()}
        return {"tallies": tallies, "lines": dict(self.lines), "tokens": dict(self.tokens), "times": times}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Sums:
        """Read what `as_dict` gave."""
        tallies = {name: Tally((a, b, c, d, e), rest) for name, (a, b, c, d, e, rest) in found["tallies"].items()}
        times = {kind: Counter(dict(map(tuple, seen))) for kind, seen in found["times"].items()}
        return cls(tallies, Counter(found["lines"]), Counter(found["tokens"]), times)


def sum_up(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of a run's rows."""
    return Sums.of(rows).figures()
