"""A service on which a fifth of the requests fail in eleven ways; `python -m tests.faults 1000` measures it by hand.

It prints, as JSON, the time of a bare client with the same retries, that of batch.py, and what a second run asks again.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai

from tests.chat_server import Act, Answer, ChatServer, Hang, Raw, Reset, Status, chat_server
from tests.desk import STATEMENTS, VERDICT, Desk

SHARE, AT_ONCE, TIMEOUT_S, SLOW_S = 0.2, 64, 1.0, 0.8
HTML = b"<html><title>Service Unavailable</title></html>"


class Faults:
    """Decides what becomes of a request, and counts what was given: a text that is given twice was paid for twice."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.given = Counter[str]()
        self.healed = False

    def __call__(self, body: dict[str, Any]) -> Act:
        """Return the act for a request."""
        question, asked = body["messages"][-1]["content"], _asked(body)
        is_chat = re.fullmatch(r"Question \d+\?", question)  # a verdict is asked for as a stream, too, after a silence
        if is_chat and question.endswith("7?"):
            return Status(400, "the prompt was filtered", error_code="content_filter")
        right = Answer(deltas=["Re: ", question], first_s=0.02) if is_chat else VERDICT
        act: Act = right
        if not self.healed and self.chance.random() < SHARE:
            slow = replace(right, first_s=SLOW_S)
            act = self.chance.choice([*broken(bool(body.get("stream"))), slow])
            if act is not slow:
                return act
        self.given[asked] += 1
        return act


def broken(streamed: bool) -> list[Act]:
    """Return ten ways to fail, of a stream or of a whole reply; the eleventh is to be slow."""
    amid = Answer(deltas=["a", "b", "c"], cut_after=2, reset=True)
    event = Raw([b'data: {"error": {"message": "overloaded", "code": 500}}\n\n'])
    cut = Raw([b'{"id": "c1", "choices": [{"message": {"content": "{'], kind="application/json")
    return [
        Status(429, "slow down", headers=[("retry-after", "1")]),
        Status(429, "slow down"),
        Status(500, "broken"),
        Raw([HTML], code=503, kind="text/html"),
        Reset(),
        amid if streamed else Reset(),
        Answer(deltas=["a", "b"], stall_after=1) if streamed else Hang(),
        Answer(deltas=["a"], raw_after='data: {"choi\n\n', finish=None) if streamed else cut,
        event,
        Raw([HTML], kind="text/html"),
    ]


def run(folder: Path, lines: int) -> dict[str, Any]:
    """Run batch.py against the faults, then resume it, then once more where nothing fails; return what was seen."""
    with chat_server() as server:
        faults = Faults(seed=7)
        server.usual = faults
        desk = Desk(folder, server, lines)
        desk.environment["MODEL_TIMEOUT_S"] = str(TIMEOUT_S)
        began_s = time.monotonic()
        code, _ = desk.run("--quiet", "--concurrency", str(AT_ONCE), limit_s=900)
        first_s, first = time.monotonic() - began_s, desk.rows()
        asked, faults.healed = len(server.requests), True
        resumed, printed = desk.run("--quiet", "--resume", "out", "--concurrency", str(AT_ONCE), limit_s=900)
        missing = sum(_missing(row) for row in first)
        return {
            "first pass s": first_s,
            "exit codes": [code, resumed],
            "failed lines": [sum(row["error"] is not None for row in rows) for rows in (first, desk.rows())],
            "requests": [asked, len(server.requests) - asked],
            "missing after the first pass": missing,
            "given twice": sum(count - 1 for count in faults.given.values()),
            "rows": [first, desk.rows()],
            "printed": printed,
        }


def bare_s(lines: int) -> float:
    """Return the seconds that a client of openai's takes for the same, with the same retries and limit."""
    with chat_server() as server:
        server.usual = Faults(seed=7)
        began_s = time.monotonic()
        asyncio.run(_bare(server, lines))
        return time.monotonic() - began_s


async def _bare(server: ChatServer, lines: int) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(client: openai.AsyncOpenAI, text: str, stream: bool) -> str:
        async with gate:
            messages: Any = [{"role": "user", "content": text}]
            made: Any = await client.chat.completions.create(model="m", messages=messages, stream=stream)
            if not stream:
                return str(made.choices[0].message.content)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in made if chunk.choices])

    async def one(client: openai.AsyncOpenAI, number: int) -> None:
        answered = await ask(client, f"Question {number}?", stream=True)
        await asyncio.gather(*(ask(client, f"{answered} {text}", stream=False) for text in STATEMENTS.values()))

    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=2, timeout=TIMEOUT_S) as client:
        await asyncio.gather(*(one(client, number) for number in range(lines)), return_exceptions=True)


def _asked(body: dict[str, Any]) -> str:
    """Return the request's messages, the judge's marks taken out."""
    lines = "\n".join(str(message["content"]) for message in body["messages"]).split("\n")
    return "\n".join(line for line in lines if not line.startswith("<"))


def _missing(row: dict[str, Any]) -> int:
    """Return how many requests a row still needs: its answer and all verdicts, or the verdicts that are not there."""
    if row["answer"] is None:
        return 1 if row["error"] and "filtered" in row["error"] else 1 + len(row["statements"])
    scored = [verdict for verdict in (row["verdicts"] or {}).values() if verdict["score"] is not None]
    return len(row["statements"]) - len(scored)


def main(lines: int = 1000) -> None:
    """Print what was measured."""
    bare = bare_s(lines)
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), lines)
    shown = {name: value for name, value in found.items() if name not in ("rows", "printed")}
    print(json.dumps({"bare s": bare, **shown, "of bare": found["first pass s"] / bare}, indent=4))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
