"""A chat completion service of fixed speed, in a process of its own.

Streamed, an answer has its first byte after 0.1 s, then 10 ms a chunk; any other is a judge's, whole after 0.3 s.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

FIRST_S, GAP_S, CHUNKS = 0.1, 0.01, 20
ANSWER_S = FIRST_S + (CHUNKS - 1) * GAP_S
WHOLE_S = 0.3
PIECE = " and so on"
REST_OF_ANSWER = PIECE * (CHUNKS - 1)

VERDICT = {"explanation": "It does so in part.", "score": 4}

STREAMED = re.compile(rb'"stream": *true')  # in a text the quotes would be escaped
CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def _chunk(**fields: Any) -> bytes:
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    event = f"data: {json.dumps({**common, **fields})}\n\n".encode()
    return f"{len(event):x}\r\n".encode() + event + b"\r\n"


def delta(finish_reason: str | None = None, **fields: str) -> bytes:
    return _chunk(choices=[{"index": 0, "delta": fields, "finish_reason": finish_reason}])


def whole(content: Any) -> bytes:
    """Return a reply that is read at once."""
    body = json.dumps(content).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
# The first text is how long the server took, in microseconds: who times the whole can subtract it.
FIRST = HEAD + delta(role="assistant", content="") + delta(content="_" * 8).replace(b"_" * 8, b"%08d")
NEXT = delta(content=PIECE)
USAGE = _chunk(choices=[], usage={"prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 100})
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
LAST = NEXT + delta(finish_reason="stop") + END
LAST_WITH_USAGE = NEXT + delta(finish_reason="stop") + USAGE + END
SAID = {"role": "assistant", "content": json.dumps(VERDICT)}
JUDGED = whole(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o",
        "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420},
    }
)


@dataclass
class Load:
    """What the server has had to do since somebody last asked.

    now, most: requests under way, now and at most. requests: how many began.
    first_at: when the first of them was there. last_at: when the last answer had been sent. Both Unix time, in seconds.
    """

    now: int = 0
    most: int = 0
    requests: int = 0
    first_at: float = 0.0
    last_at: float = 0.0

    def begin(self) -> None:
        """Count one more."""
        self.now += 1
        self.requests += 1
        self.most = max(self.most, self.now)
        self.first_at = self.first_at or time.time()

    def end(self) -> None:
        """Count one less."""
        self.now -= 1
        self.last_at = time.time()

    def taken(self) -> dict[str, float]:
        """Return what there was, with the CPU seconds of the process, `cpu_s`, and begin anew."""
        found: dict[str, float] = {"most_in_flight": self.most, "requests": self.requests}
        found |= {"first_at": self.first_at, "last_at": self.last_at, "cpu_s": time.process_time()}
        self.most, self.requests, self.first_at, self.last_at = self.now, 0, 0.0, 0.0
        return found


class Conversation(asyncio.Protocol):
    """One connection: an answer per POST; per GET the server's load since the last GET."""

    gap_s = GAP_S  # between two chunks

    def __init__(self, load: Load) -> None:
        self.load = load

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Begin an answer once its request is whole."""
        self.received += data
        head, end_of_head, body = self.received.partition(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if not end_of_head or (length and len(body) < int(length[1])):
            return
        self.received = b""
        if head.startswith(b"GET"):
            self.transport.write(whole(self.told(head)))
            return
        if not self.admits():
            return
        self.load.begin()
        self.asked_s = self.loop.time()
        self.answer(body)

    def answer(self, body: bytes) -> None:
        """Set the timer for what the request will get."""
        if STREAMED.search(body):
            self.last = LAST_WITH_USAGE if b"include_usage" in body else LAST
            self.timer = self.loop.call_at(self.asked_s + FIRST_S, self.send_first)
        else:
            self.timer = self.loop.call_at(self.asked_s + WHOLE_S, self.send_last, JUDGED)

    def told(self, head: bytes) -> dict[str, float]:
        """Return what a GET is told."""
        return self.load.taken()

    def admits(self) -> bool:
        """Say whether the request is answered; who says no has answered it otherwise."""
        return True

    def send_first(self) -> None:
        """Send the first chunk, and with it how long that took."""
        self.transport.write(FIRST % int((self.loop.time() - self.asked_s) * 1e6))
        self.timer = self.loop.call_at(self.asked_s + FIRST_S + self.gap_s, self.send_next, 1)

    def send_next(self, position: int) -> None:
        """Send a chunk at its own time, however late the one before was."""
        if position == CHUNKS - 1:
            self.send_last(self.last)
        else:
            self.transport.write(NEXT)
            due_s = self.asked_s + FIRST_S + (position + 1) * self.gap_s
            self.timer = self.loop.call_at(due_s, self.send_next, position + 1)

    def send_last(self, text: bytes) -> None:
        """Send what ends the answer."""
        self.timer = None
        self.transport.write(text)
        self.load.end()

    def connection_lost(self, error: Exception | None) -> None:
        """Stop writing."""
        if self.timer:
            self.timer.cancel()
            self.load.end()


async def main() -> None:
    """Serve on a free loopback port until killed; the address is the first line of the output."""
    conversation = partial(Conversation, Load())
    server = await asyncio.get_running_loop().create_server(conversation, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
