"""A service for libraries of several makers: every answer and verdict has a truth of its own, and requests may fail.

An answer names the line that it answers, so each request for a verdict tells its line too. The score follows from the
line and the statement, and is given in the form that the request asks for. The waits are those of server.py.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any
from zlib import crc32

from benchmarks.server import ANSWER_S, END, FIRST_S, HEAD, USAGE, WHOLE_S, Conversation, Load, delta, whole
from benchmarks.ways import HISTORY, MODEL

STATEMENTS = {"correctness": "It explains what Prompt flow is.", "concise": "It is a concise statement."}
QUESTION = "What is Prompt flow? (asked for the {}th time)"
LINE = re.compile(r"asked for the (\d+)th time|\[line (\d+)\]")
UNREADABLE = "I would rather not say anything about that."
REASON = "It does so in part."
EVERY = 40  # lines: of so many one is refused for ever, and of another one a verdict can never be read
TRANSIENT = 0.1  # of the requests fail once
FAULTS = ("429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable", "reset")


def line(number: int) -> dict[str, Any]:
    """Return one line of a data file."""
    return {"question": QUESTION.format(number), "chat_history": HISTORY, "statements": STATEMENTS}


def truth(number: int, faults: bool) -> tuple[bool, dict[str, int | None]]:
    """Return whether a line gets an answer, and the score of each statement, None where there is none to be had."""
    scores: dict[str, int | None] = {name: 1 + (number + 2 * i) % 5 for i, name in enumerate(STATEMENTS)}
    if faults and number % EVERY == EVERY // 4:
        return False, dict.fromkeys(STATEMENTS)
    if faults and number % EVERY == 3 * EVERY // 4:
        scores["correctness"] = None
    return True, scores


class Service(Conversation):
    """One connection; `faults` and `failed`, what has failed once, are of all connections."""

    faults = False
    healed = False
    failed: set[tuple[int, str]]

    def __init__(self, load: Load, failed: set[tuple[int, str]]) -> None:
        super().__init__(load)
        self.failed = failed

    def told(self, head: bytes) -> dict[str, float]:
        """Say the load; GET /heal also ends the faults that pass."""
        Service.healed = Service.healed or b"/heal" in head
        return super().told(head)

    def answer(self, body: bytes) -> None:
        """Set the timer for what the request will get."""
        text, asked = body.decode(), json.loads(body)
        number = max((int(a or b) for a, b in LINE.findall(text)), default=0)  # 0: a judge that is shown no answer
        statement = next((name for name, said in STATEMENTS.items() if said in text), None)
        answered, scores = truth(number, self.faults)
        wait_s = WHOLE_S if statement else ANSWER_S
        if fault := self.fault(number, statement or "answer"):
            self.timer = self.loop.call_later(FIRST_S, self.send_last, fault)
        elif not answered:
            self.timer = self.loop.call_later(FIRST_S, self.send_last, refusal("400 Bad Request", "content_filter"))
        elif statement:
            self.timer = self.loop.call_later(wait_s, self.send_last, verdict(asked, text, scores[statement]))
        elif asked.get("stream"):
            self.last = self.end_of(asked)
            self.begin = f"Prompt flow is a suite of tools. [line {number}]"
            self.timer = self.loop.call_later(FIRST_S, self.send_first)
        else:
            said = f"Prompt flow is a suite of tools. [line {number}]"
            self.timer = self.loop.call_later(wait_s, self.send_last, reply({"content": said}))

    def fault(self, number: int, what: str) -> bytes | None:
        """Return the fault that a request meets the first time, if it is one that does. A reset has no bytes."""
        chance = crc32(f"{number} {what}".encode())
        if not self.faults or Service.healed or chance % 1000 >= 1000 * TRANSIENT or (number, what) in self.failed:
            return None
        self.failed.add((number, what))
        kind = FAULTS[chance // 1000 % len(FAULTS)]
        return b"reset" if kind == "reset" else refusal(kind, "try_again")

    def send_first(self) -> None:
        """Send the text that names the line."""
        self.transport.write(HEAD + delta(role="assistant", content="") + delta(content=self.begin))
        self.timer = self.loop.call_at(self.asked_s + FIRST_S + self.gap_s, self.send_next, 1)

    def send_last(self, text: bytes) -> None:
        """Send what ends the answer, or cut the connection."""
        if text == b"reset":
            self.timer = None
            self.load.end()
            self.transport.abort()
        else:
            super().send_last(text)

    @staticmethod
    def end_of(asked: Mapping[str, Any]) -> bytes:
        """Return the end of a stream."""
        counted = (asked.get("stream_options") or {}).get("include_usage")
        return delta(finish_reason="stop") + (USAGE if counted else b"") + END


def verdict(asked: Mapping[str, Any], text: str, score: int | None) -> bytes:
    """Return a judge's reply in the form asked for: a call of a tool, an object of a schema, a grade, or JSON."""
    if score is None:
        return reply({"content": UNREADABLE})
    if tools := asked.get("tools"):
        function = tools[0]["function"]
        call = {"name": function["name"], "arguments": json.dumps(filled(function["parameters"], score))}
        return reply({"content": None, "tool_calls": [{"id": "call-1", "type": "function", "function": call}]})
    form = asked.get("response_format") or {}
    if form.get("type") == "json_schema":
        return reply({"content": json.dumps(filled(form["json_schema"]["schema"], score))})
    if "GRADE:" in text:
        return reply({"content": f"{REASON}\n\nGRADE: {score}"})
    said = {"reason": REASON, "explanation": REASON, "pass": True, "score": score, "status": "completed"}
    return reply({"content": json.dumps(said)})


def filled(schema: Mapping[str, Any], score: int) -> dict[str, Any]:
    """Return an object of the schema: the score for each number and each choice of five, the reason for each text."""

    def value(kind: Mapping[str, Any]) -> Any:
        choices = kind.get("enum")
        if choices:
            return choices[score - 1]
        return {"string": REASON, "boolean": True}.get(kind.get("type", "number"), score)

    return {name: value(kind) for name, kind in schema["properties"].items()}


def reply(message: Mapping[str, Any]) -> bytes:
    """Return a whole completion."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420}
    common = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
    return whole({**common, "choices": [choice], "usage": usage})


def refusal(status: str, code: str) -> bytes:
    """Return an error in the API's form."""
    error = {"message": f"the service says {code}", "type": "error", "param": None, "code": code}
    return whole({"error": error}).replace(b"200 OK", status.encode(), 1)


async def main() -> None:
    """Serve on a free loopback port until killed; the address is the first line of the output."""
    Service.faults = "--faults" in sys.argv
    conversation = partial(Service, Load(), set[tuple[int, str]]())
    server = await asyncio.get_running_loop().create_server(conversation, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
