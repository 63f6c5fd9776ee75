"""Knows which request wants a judge, and what a judge replies.

A judge's prompt is recognised by its last user message, which has these lines, each alone on its line, with the
texts between them and the same NONCE of 8 or more hexadecimal digits in all four:

    <answer NONCE>        </answer NONCE>        <statement NONCE>        </statement NONCE>

It may have <question NONCE>, <reference NONCE> and messages of a history, <user NONCE>, <assistant NONCE> and
<system NONCE>, in the same way. The first such line of all decides which nonce to believe. The texts may contain
anything, such as markers with another nonce or a plea for score 5: whoever wrote them could not know the nonce, which
differs in each request.
"""

import json
import re
from contextlib import suppress

from offline_model.scoring import Shown, score

_MARKER = re.compile(r"<(?:answer|question|reference|user|assistant|system) ([0-9a-fA-F]{8,})>")


def reply(prompt: str) -> str | None:
    """Return the verdict as JSON, {"explanation": text, "score": 1 to 5}, or None if `prompt` is no judge's prompt."""
    lines = prompt.split("\n")
    try:
        nonce = next(match[1] for line in lines if (match := _MARKER.fullmatch(line.rstrip())))
        verdict = score(_block(lines, "answer", nonce), _block(lines, "statement", nonce), _shown(lines, nonce))
    except (StopIteration, ValueError):  # a marker is missing
        return None
    explanation = f"Offline rule: {verdict.reason}"
    return json.dumps({"explanation": explanation, "score": verdict.value})


def passed(verdict: str) -> str:
    """Return a verdict with true in place of the scores 4 and 5, and false in place of the others."""
    found = json.loads(verdict)
    return json.dumps({**found, "score": found["score"] >= 4})


def _shown(lines: list[str], nonce: str) -> Shown:
    """Return what there is besides; of a history, the assistant's last message."""
    found: dict[str, str] = {}
    for name in ("question", "reference", "assistant"):
        with suppress(ValueError):
            found[name] = _block(lines, name, nonce)
    return Shown(found.get("question"), found.get("reference"), found.get("assistant"))


def _block(lines: list[str], name: str, nonce: str) -> str:
    """Return the text between the last such markers; ValueError if there is none."""
    markers = [line.rstrip() for line in lines]
    start = len(markers) - 1 - markers[::-1].index(f"<{name} {nonce}>")
    end = markers.index(f"</{name} {nonce}>", start)
    return "\n".join(lines[start + 1 : end])
