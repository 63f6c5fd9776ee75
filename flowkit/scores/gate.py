"""A run's figures beside what was asked of them, and both as a report that build servers read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from flowkit.base.text import in_one_line, shown
from flowkit.scores.comparison import WORSE, Comparison

SHOWN = 60  # characters of a question or an error in an attribute
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Threshold:
    """The lowest score that the statement `name` may have on average."""

    name: str
    at_least: float


@dataclass(frozen=True)
class Check:
    """One thing that was asked of a run, and whether it is met; `line` says so in words."""

    name: str
    line: str
    met: bool


@dataclass(frozen=True)
class Gate:
    """All that was asked of a run."""

    checks: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        """Say whether everything is met."""
        return all(check.met for check in self.checks)

    @property
    def lines(self) -> list[str]:
        """Return a line for each check, then the verdict."""
        met = sum(check.met for check in self.checks)
        verdict = f"gate {'passed' if self.passed else 'missed'}: {met} of {len(self.checks)} met"
        return [*(check.line for check in self.checks), verdict]


def parse_thresholds(texts: Iterable[str], known: Collection[str]) -> list[Threshold]:
    """Read texts such as "correctness=4". Raises ValueError for a bad one.

    known: the names of the statements. A name may have a "=" itself: the last one counts.
    """
    return [_parse(text, known) for text in texts]


def check_gate(
    figures: Mapping[str, Any],
    thresholds: Iterable[Threshold],
    comparison: Comparison | None = None,
    missing: Literal["skip", "worst"] = "skip",
) -> Gate:
    """Hold the figures of `flowkit.scores.sums.sum_up` against the thresholds.

    comparison: with a baseline, to be no worse than it in any statement.
    missing: "worst" counts every missing score as 1, "skip" leaves it out. Where nothing is scored, nothing is met.
    """
    kind, word = {"skip": ("average", ""), "worst": ("lowest", "at worst ")}[missing]
    checks = [_against_threshold(figures, threshold, kind, word) for threshold in thresholds]
    return Gate((*checks, *(_against_baseline(comparison) if comparison else ())))


def write_junit(path: Path, rows: Sequence[Mapping[str, Any]], gate: Gate, data: str = "data.jsonl") -> None:
    """Write JUnit's XML: a test for each line, in error if the line failed, and one for each check of the gate.

    data: the name of the data file. What XML cannot carry becomes U+FFFD.
    """
    failed, missed = [row for row in rows if row["error"]], [check for check in gate.checks if not check.met]
    counts = {"tests": len(rows) + len(gate.checks), "errors": len(failed), "failures": len(missed)}
    counted = {name: str(count) for name, count in counts.items()}
    report = ElementTree.Element("testsuites", counted)
    suite = ElementTree.SubElement(report, "testsuite", {"name": _clean(data), **counted})
    for row in rows:
        test = _test(suite, data, f"line {row['line']}: {in_one_line(_clean(row['question']), SHOWN)}")
        if row["error"]:
            error = ElementTree.SubElement(test, "error", message=in_one_line(_clean(row["error"]), SHOWN))
            error.text = _clean(row["error"])
    for check in gate.checks:
        test = _test(suite, "gate", check.name)
        if not check.met:
            ElementTree.SubElement(test, "failure", message=_clean(check.line))
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(report).write(path, encoding="utf-8", xml_declaration=True)


def _parse(text: str, known: Collection[str]) -> Threshold:
    name, equals, number = text.rpartition("=")
    if not equals:
        raise ValueError(f"expected NAME=X such as correctness=4, got {shown(text)}")
    if name not in known:
        raise ValueError(f"no statement is called {shown(name)}; known are {', '.join(map(shown, known)) or 'none'}")
    try:
        at_least = float(number)
    except ValueError:
        at_least = 0
    if not 1 <= at_least <= 5:
        raise ValueError(f"{shown(name)}: expected a number from 1 to 5, got {shown(number)}")
    return Threshold(name, at_least)


def _against_threshold(figures: Mapping[str, Any], threshold: Threshold, kind: str, word: str) -> Check:
    name, asked = threshold.name, f"at least {str(threshold.at_least).removesuffix('.0')}"
    scored, unscored = (figures.get(f"{count}_{name}", 0) for count in ("scored", "unscored"))
    met, reached = False, "no score"
    if scored:
        value = figures[f"{kind}_{name}"]
        met, reached = value >= threshold.at_least, word + _rounded(value, threshold.at_least)
    return _check(f"{name} {asked}", f"{name}: {reached} of {asked}, {scored} of {scored + unscored} lines scored", met)


def _against_baseline(comparison: Comparison) -> list[Check]:
    checks = []
    for name, difference in comparison.differences.items():
        met, found = True, "not shown to be worse than the baseline"
        if difference.mean is None:
            met, found = False, "nothing to compare with the baseline"
        elif difference.verdict == WORSE:
            met, found = False, f"worse than the baseline by {-difference.mean:.2f}"
        checks.append(_check(f"{name} no worse than the baseline", f"{name}: {found}, {difference.pairs} pairs", met))
    return checks or [_check("no worse than the baseline", "no statement of any line is in the baseline too", False)]


def _check(name: str, found: str, met: bool) -> Check:
    return Check(name, f"{' '.join(found.split())}: {'met' if met else 'missed'}", met)


def _rounded(value: float, at_least: float) -> str:
    """Write `value` with two digits, or as many more as it takes to stay on its side: 3.996 is not 4.00."""
    digits = next(d for d in range(2, 18) if (round(value, d) >= at_least) == (value >= at_least))
    return f"{value:.{digits}f}"


def _test(suite: ElementTree.Element, file_name: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_clean(file_name), name=_clean(name))


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
