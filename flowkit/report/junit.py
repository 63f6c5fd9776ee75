"""A run and its gate as JUnit's XML, which build servers read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from flowkit.base.text import in_one_line
from flowkit.data.records import Row
from flowkit.scores.gate import Gate

SHOWN = 60  # characters of a question or an error in an attribute
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, rows: Sequence[Row], gate: Gate, data: str = "data.jsonl") -> None:
    """Write JUnit's XML: a test for each line, in error if the line failed, and one for each check of the gate,
    skipped where this many lines cannot tell.

    data: the name of the data file. What XML cannot carry becomes U+FFFD.
    """
    failed = [row for row in rows if row.error]
    outcomes = Counter(check.outcome for check in gate.checks)
    counts = {"tests": len(rows) + len(gate.checks), "errors": len(failed), "failures": outcomes["missed"]}
    if outcomes["cannot tell"]:
        counts["skipped"] = outcomes["cannot tell"]
    counted = {name: str(count) for name, count in counts.items()}
    report = ElementTree.Element("testsuites", counted)
    suite = ElementTree.SubElement(report, "testsuite", {"name": _clean(data), **counted})
    for row in rows:
        test = _test(suite, data, f"line {row.line}: {in_one_line(_clean(row.question), SHOWN)}")
        if row.error:
            error = ElementTree.SubElement(test, "error", message=in_one_line(_clean(row.error), SHOWN))
            error.text = _clean(row.error)
    for check in gate.checks:
        test = _test(suite, "gate", check.name)
        if not check.met:
            kind = "failure" if check.outcome == "missed" else "skipped"
            ElementTree.SubElement(test, kind, message=_clean(check.line))
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(report).write(path, encoding="utf-8", xml_declaration=True)


def _test(suite: ElementTree.Element, file_name: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_clean(file_name), name=_clean(name))


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
