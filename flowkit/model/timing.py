"""How long one answer waited to be asked for, and how long it took from then on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any


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
