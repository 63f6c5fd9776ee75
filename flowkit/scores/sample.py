"""The random sample of a run's pairs of answer and statement that people are asked to score.

Each pair's rank is a digest of its content: as good as chance, and the same whenever it is drawn of the same run. Of
each statement the pairs of the lowest ranks are taken, in the order of their ranks: any beginning of the sample is a
random sample too, so a person may stop anywhere. Lines that are added change little of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from heapq import heappush, heappushpop
from itertools import zip_longest

from flowkit.base.scale import FIVE
from flowkit.data.labels import Sample, SampledPair
from flowkit.data.records import Row

MOST_PAIRS = 200  # of all statements: some two hours of a person's work
FEWEST = 10  # labels of a statement, from which on a mean is told
METHOD = (
    "of each statement, the pairs with the lowest SHA-256 of line number, question, answer and statement: a simple "
    "random sample without replacement, in the order of asking"
)


def draw(rows: Iterable[Row]) -> Sample:
    """Draw at most 200 pairs whose answer can be judged, about as many of each statement.

    Of more than twenty statements, twenty are drawn, for fewer than ten labels tell nothing. Statements that pass or
    fail are left out.
    """
    population, digest_of_all = Counter[str](), 0
    lowest: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # (-rank, line) of each statement, a heap
    for row in rows:
        if not can_be_labelled(row):
            continue
        for name, text in row.statements.items():
            if row.scale(name) is not FIVE:  # people label from 1 to 5
                continue
            rank = _digest(row.line, row.question, row.answer, name, text)
            digest_of_all = (digest_of_all + rank) % 2**256
            population[name] += 1
            (heappush if population[name] <= MOST_PAIRS else heappushpop)(lowest[name], (-rank, row.line))
    by_statement = []
    for name, size in _sizes(population).items():
        lines = [line for _, line in sorted(lowest[name], reverse=True)[:size]]
        by_statement.append([SampledPair(line, name, size / population[name]) for line in lines])
    in_turn = (pair for each in zip_longest(*by_statement) for pair in each if pair is not None)
    return Sample(f"{_digest(digest_of_all):064x}"[:12], dict(population), tuple(in_turn), METHOD)


def can_be_labelled(row: Row) -> bool:
    """Say whether there is an answer to score; an empty one is not judged either."""
    return bool(row.answer and row.answer.strip())


def _sizes(population: Mapping[str, int]) -> dict[str, int]:
    """Return how many pairs of each statement are drawn; what one cannot fill goes to the others."""
    drawn = sorted(population, key=_digest)[: MOST_PAIRS // FEWEST]
    left, sizes = MOST_PAIRS, dict[str, int]()
    for i, name in enumerate(sorted(drawn, key=lambda name: population[name])):
        sizes[name] = min(population[name], left // (len(drawn) - i))
        left -= sizes[name]
    return {name: sizes[name] for name in population if name in sizes}


def _digest(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest(), "big")
