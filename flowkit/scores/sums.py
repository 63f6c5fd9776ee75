"""What the rows of a run say together. The sums of shards add up to the sums of the whole, in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowkit.base.json_text import JsonObject
from flowkit.base.scale import FIVE, Scale, scale_named
from flowkit.data.checklist import as_text
from flowkit.data.figures import COUNTS, Endings, Figures, Group, TokenSums
from flowkit.data.records import Row, Times, Tokens
from flowkit.scores import judge_noise, metrics
from flowkit.scores.metrics import Tally
from flowkit.scores.times import lengths, percentiles
from flowkit.scores.weighted import Ends, ends_of, weighted_mean

NANO = 10**9  # costs are added as whole numbers, which give the same sum in any order
ENOUGH_TO_DOUBT = 10  # verdicts, all with the same score


@dataclass
class Sums:
    """The scores by statement, and how many lines, endings, tokens and seconds of each length there were.

    lines: total, answered, judged, failed. endings: by the fields of `Endings`. tokens: prompt, completion of the
    answers; judge_tokens: of the verdicts. costs: lines whose cost is known, and nano_usd of them together.
    times: by kind, how often each length was seen (see `lengths`).
    votes: by statement, how often each pattern of votes was seen (see `judge_noise.pattern`).
    weighted: how often each weighted score of a line was seen (see `weighted.ends_of`).
    groups: the sums of the rows with each value of a column, as text.
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    judge_tokens: Counter[str] = field(default_factory=Counter)
    costs: Counter[str] = field(default_factory=Counter)
    times: dict[str, Counter[float]] = field(default_factory=dict)
    votes: dict[str, Counter[str]] = field(default_factory=dict)
    weighted: Counter[Ends] = field(default_factory=Counter)
    groups: dict[str, Sums] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Row], by: str | None = None) -> Sums:
        """Sum up rows; a statement without a verdict counts in the bounds of its mean.

        by: a column to group the rows by, too.
        """
        if by is None:
            return cls._of(rows)
        groups, rows = defaultdict[str, list[Row]](list), list(rows)
        for row in rows:
            groups[as_text(row.extra.get(by)) or ""].append(row)
        return replace(cls._of(rows), groups={value: cls._of(found) for value, found in groups.items()})

    @classmethod
    def _of(cls, rows: Iterable[Row]) -> Sums:
        sums, scores, timings = cls(), defaultdict[str, list[int | None]](list), list[Times]()
        scales = dict[str, Scale]()
        for row in rows:
            answered, finished = int(row.answer is not None), int(row.error is None)  # an empty Counter keeps a bool
            sums.lines.update(total=1, answered=answered, judged=finished, failed=1 - finished)
            if row.ending:
                sums.endings[row.ending] += 1
            _count(sums.tokens, row.tokens)
            for verdict in row.distinct_verdicts():
                _count(sums.judge_tokens, verdict.tokens)
            if row.cost_usd is not None:
                sums.costs.update(lines=1, nano_usd=round(row.cost_usd * NANO))
            if (ends := ends_of(row)) is not None:
                sums.weighted[ends] += 1
            if row.timing:
                timings.append(row.timing)
            for name in dict.fromkeys([*row.statements, *(row.verdicts or {})]):
                scores[name].append(row.score(name))
                scales.setdefault(name, row.scale(name))
                if votes := judge_noise.pattern((row.verdicts or {}).get(name)):
                    sums.votes.setdefault(name, Counter())[votes] += 1
        sums.tallies = {name: Tally.of(given, scales[name]) for name, given in scores.items()}
        sums.times = lengths(timings)
        return sums

    def add(self, other: Sums) -> None:
        """Add the sums of other rows."""
        self.tallies = metrics.merged([self.tallies, other.tallies])
        self.lines.update(other.lines)
        self.endings.update(other.endings)
        self.tokens.update(other.tokens)
        self.judge_tokens.update(other.judge_tokens)
        self.costs.update(other.costs)
        for kind, seen in other.times.items():
            self.times.setdefault(kind, Counter()).update(seen)
        for name, votes in other.votes.items():
            self.votes.setdefault(name, Counter()).update(votes)
        self.weighted.update(other.weighted)
        for value, sums in other.groups.items():
            self.groups.setdefault(value, Sums()).add(sums)

    def figures(self, names: Iterable[str] = (), by: str | None = None) -> Figures:
        """Return the figures. names: of statements, in the order to keep, as far as they matter. by: see `of`."""
        ordered = [name for name in dict.fromkeys([*names, *self.tallies]) if name in self.tallies]
        lines, scales = self.lines, {name: tally.scale for name, tally in self.tallies.items()}
        noise = judge_noise.noise_of(self.votes, scales)
        return Figures(
            statements={name: self.tallies[name].mean() for name in ordered},
            total=lines["total"],
            answered=lines["answered"],
            judged=lines["judged"],
            failed=lines["failed"],
            timing=percentiles(self.times),
            tokens=TokenSums(self.tokens["prompt"], self.tokens["completion"]),
            judge_tokens=TokenSums(self.judge_tokens["prompt"], self.judge_tokens["completion"]),
            cost_usd=self.costs["nano_usd"] / NANO if lines["answered"] == self.costs["lines"] > 0 else None,
            endings=Endings(**{kind: self.endings[kind] for kind in ("cut", "filtered", "refused", "empty")}),
            notes=(*self._notes(), *(judge_noise.told(noise) if noise else ())),
            noise=noise,
            weighted_average=weighted_mean(self.weighted),
            by=by,
            groups={value: sums.group(ordered) for value, sums in sorted(self.groups.items())},
        )

    def group(self, names: Iterable[str]) -> Group:
        """Return the same as the figures of a group, as far as a group has them."""
        return Group(
            **{kind: self.lines[kind] for kind in COUNTS},
            statements={name: self.tallies[name].mean() for name in names if name in self.tallies},
            weighted_average=weighted_mean(self.weighted),
        )

    def _notes(self) -> Iterable[str]:
        found = [tally.counts for tally in self.tallies.values() if tally.scale is FIVE]
        counts = [sum(column) for column in zip(*found, strict=True)]
        if sum(counts) >= ENOUGH_TO_DOUBT and sum(count > 0 for count in counts) == 1:
            score = 1 + next(i for i, count in enumerate(counts) if count)
            yield f"the judge gave {score} to all {sum(counts)} statements it scored: does it tell answers apart?"

    def as_dict(self) -> JsonObject:
        """Return the same as plain JSON values."""
        return {
            "tallies": {name: [each.scale.name, *each.counts, each.unscored] for name, each in self.tallies.items()},
            "lines": dict(self.lines),
            "endings": dict(self.endings),
            "tokens": dict(self.tokens),
            "judge_tokens": dict(self.judge_tokens),
            "costs": dict(self.costs),
            "times": {kind: list(seen.items()) for kind, seen in self.times.items()},
            "votes": {name: dict(votes) for name, votes in self.votes.items()},
            "weighted": [[*ends, count] for ends, count in self.weighted.items()],
            "groups": {value: sums.as_dict() for value, sums in self.groups.items()},
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Sums:
        """Read what `as_dict` gave."""
        tallies = {
            name: Tally(tuple(counts), rest, scale_named(scale))
            for name, (scale, *counts, rest) in found["tallies"].items()
        }
        times = {kind: Counter(dict(map(tuple, seen))) for kind, seen in found["times"].items()}
        counts = ("lines", "endings", "tokens", "judge_tokens", "costs")
        votes = {name: Counter(seen) for name, seen in found["votes"].items()}
        weighted = Counter({(low, high): count for low, high, count in found["weighted"]})
        groups = {value: cls.from_dict(each) for value, each in found["groups"].items()}
        counted = {kind: Counter(found[kind]) for kind in counts}
        return cls(tallies, times=times, votes=votes, weighted=weighted, groups=groups, **counted)


def _count(sums: Counter[str], tokens: Tokens | None) -> None:
    if tokens:
        sums.update(prompt=tokens.prompt or 0, completion=tokens.completion or 0)


def sum_up(rows: Iterable[Row], by: str | None = None) -> Figures:
    """Return the figures of a run's rows. by: a column to group them by."""
    return Sums.of(rows, by).figures(by=by)
