"""The times of many answers as medians and 95th percentiles, in a form whose shards add up."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

from flowkit.data.figures import Percentiles
from flowkit.data.records import Times

KINDS = ("waited_s", "first_chunk_s", "total_s", "chunks_per_s", "tokens_per_s")


def lengths(timings: Iterable[Times]) -> dict[str, Counter[float]]:
    """Count how often each length was seen, to three digits, so that millions of them fit in a few thousand counts."""
    seen: dict[str, Counter[float]] = {kind: Counter() for kind in KINDS}
    for timing in timings:
        for kind, found in seen.items():
            if (length := getattr(timing, kind)) is not None:
                found[float(f"{length:.3g}")] += 1
    return {kind: found for kind, found in seen.items() if found}


def percentiles(seen: Mapping[str, Counter[float]]) -> dict[str, Percentiles]:
    """Return median and 95th percentile of what `lengths` counted, by kind."""
    return {kind: Percentiles(_quantile(found, 0.5), _quantile(found, 0.95)) for kind, found in seen.items()}


def _quantile(seen: Counter[float], share: float) -> float:
    """Interpolate between the two nearest values, as numpy and pandas do."""
    place = share * (seen.total() - 1)
    values = sorted(seen)
    ranks = list(accumulate(seen[value] for value in values))  # values[i] has the places below ranks[i]
    low, high = (values[bisect_right(ranks, math.floor(place) + more)] for more in (0, place % 1 > 0))
    return round(low + (high - low) * (place % 1), 4)
