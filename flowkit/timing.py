"""How long an answer took from its turn on, and what it waited for its turn; both, summed up over many."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import accumulate
from typing import Any

KINDS = ("waited_s", "first_chunk_s", "total_s", "chunks_per_s", "tokens_per_s")


@dataclass
class Timing:
    """The times of one answer, filled in while it is read.

    asked_at: when its turn came, UTC, ISO 8601. waited_s: for that turn, while as many requests as allowed were in
    flight. first_chunk_s, total_s: from its turn to the first text and to the end, tries that failed included.
    chunks: pieces of text.
    """

    asked_at: str = ""
    waited_s: float = 0.0
    first_chunk_s: float | None = None
    total_s: float | None = None
    chunks: int = 0
    _since_s: float = field(default_factory=time.perf_counter, repr=False)

    def turn(self) -> None:
        """Note that the request goes out now."""
        self.waited_s = self._elapsed_s()
        self._since_s = time.perf_counter()
        self.asked_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")

    def chunk(self) -> None:
        """Note a piece of text."""
        self.chunks += 1
        if self.first_chunk_s is None:
            self.first_chunk_s = self._elapsed_s()

    def end(self) -> None:
        """Note the end."""
        self.total_s = self._elapsed_s()

    def as_dict(self, completion_tokens: int | None = None) -> dict[str, Any]:
        """Return the times in seconds, and what came a second once it had begun; None where all came at once."""
        writing_s = (self.total_s or 0.0) - (self.first_chunk_s or 0.0)
        rest = self.chunks - 1
        several = rest > 0 and writing_s > 0
        return {
            "asked_at": self.asked_at,
            "waited_s": round(self.waited_s, 4),
            "first_chunk_s": None if self.first_chunk_s is None else round(self.first_chunk_s, 4),
            "total_s": None if self.total_s is None else round(self.total_s, 4),
            "chunks": self.chunks,
            "chunks_per_s": round(rest / writing_s, 1) if several else None,
            # The first chunk came before the clock started: its share of the tokens does not count.
            "tokens_per_s": round(completion_tokens * rest / self.chunks / writing_s, 1)
            if several and completion_tokens
            else None,
        }

    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._since_s


def lengths(timings: Iterable[Mapping[str, Any]]) -> dict[str, Counter[float]]:
    """Count how often each length was seen, to three digits, so that millions of them fit in a few thousand counts.

    timings: what `as_dict` gave.
    """
    seen: dict[str, Counter[float]] = {kind: Counter() for kind in KINDS}
    for timing in timings:
        for kind, found in seen.items():
            if timing.get(kind) is not None:
                found[float(f"{timing[kind]:.3g}")] += 1
    return {kind: found for kind, found in seen.items() if found}


def percentiles(seen: Mapping[str, Counter[float]]) -> dict[str, dict[str, float]]:
    """Return {"first_chunk_s": {"p50": 0.31, "p95": 0.80}, ...} of what `lengths` counted."""
    return {kind: {"p50": _quantile(found, 0.5), "p95": _quantile(found, 0.95)} for kind, found in seen.items()}


def _quantile(seen: Counter[float], share: float) -> float:
    """Interpolate between the two nearest values, as numpy and pandas do."""
    place = share * (seen.total() - 1)
    values = sorted(seen)
    ranks = list(accumulate(seen[value] for value in values))  # values[i] has the places below ranks[i]
    low, high = (values[bisect_right(ranks, math.floor(place) + more)] for more in (0, place % 1 > 0))
    return round(low + (high - low) * (place % 1), 4)
