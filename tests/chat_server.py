"""An OpenAI-compatible server that fails on demand: each request gets the next act of a script, then the usual one."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Writer = asyncio.StreamWriter


@dataclass(frozen=True)
class Answer:
    """Answer, streamed where the request asks for it.

    cut_after: hang up after so many deltas ("reset": with a reset); stall_after: fall silent after so many.
    raw_after: put raw text in the stream after the deltas, then end it properly. counts: say how many tokens it took.
    done: end the stream with [DONE]. whole_s: how long a reply takes that is not streamed.
    """

    deltas: Sequence[str] = ("Hello", " there", ".")
    first_s: float = 0.0
    gap_s: float = 0.0
    finish: str | None = "stop"
    cut_after: int | None = None
    stall_after: int | None = None
    reset: bool = False
    raw_after: str = ""
    counts: bool = True
    done: bool = True
    whole_s: float = 0.0


@dataclass(frozen=True)
class Status:
    """Answer with a status, an error body in the API's shape, and more headers."""

    code: int
    message: str = "the server fails on demand"
    param: str | None = None
    error_code: str | None = None
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Raw:
    """Send `pieces` as they are, as the body of a response; then end it, "reset" or "hang".

    A piece that is None sends `keep_alive` again and again, for ever. gap_s: between two pieces.
    """

    pieces: Sequence[bytes | None]
    code: int = 200
    kind: str = "text/event-stream"
    then: str = "end"
    keep_alive: bytes = b": still here\n\n"
    gap_s: float = 0.0


@dataclass(frozen=True)
class Reset:
    """Reset the connection before the first byte."""


@dataclass(frozen=True)
class Hang:
    """Say nothing at all."""


Act = Answer | Status | Raw | Reset | Hang


@dataclass
class Seen:
    """A request as it came; `left_s` is when its reader hung up (time.monotonic), None while it has not."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    came_s: float
    left_s: float | None = None
    method: str = "POST"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the request."""
        messages: list[dict[str, Any]] = self.body["messages"]
        return messages


@dataclass
class ChatServer:
    """script: acts for the next requests; usual: the act for all others, or a function of the request's body."""

    base_url: str = ""
    script: list[Act] = field(default_factory=list)
    usual: Act | Callable[[dict[str, Any]], Act] = field(default_factory=Answer)
    requests: list[Seen] = field(default_factory=list)
    models: Any = None  # the answer to a GET of /models; None: there is no such path
    listings: list[Seen] = field(default_factory=list)  # the GET requests; `requests` are the others
    in_flight: int = 0
    most_in_flight: int = 0
    left: threading.Event = field(default_factory=threading.Event)  # set when a reader hangs up early

    def next_act(self, body: dict[str, Any]) -> Act:
        """Return what to do with a request."""
        if self.script:
            return self.script.pop(0)
        return self.usual(body) if callable(self.usual) else self.usual

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Serve one connection."""
        try:
            while (seen := await _read_request(reader)) is not None:
                if seen.method == "GET":
                    await self._list_models(seen, writer)
                    continue
                self.requests.append(seen)
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    await self._perform(self.next_act(seen.body), seen, reader, writer)
                finally:
                    self.in_flight -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _list_models(self, seen: Seen, writer: Writer) -> None:
        self.listings.append(seen)
        if self.models is None:
            await _send_whole(writer, 404, {"detail": "Not Found"})
        else:
            await _send_whole(writer, 200, self.models)

    async def _perform(self, act: Act, seen: Seen, reader: asyncio.StreamReader, writer: Writer) -> None:
        acting = asyncio.ensure_future(_act(act, seen.body, writer))
        leaving = asyncio.ensure_future(reader.read(1))  # a client that waits for its answer sends nothing
        done, _ = await asyncio.wait({acting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if acting in done:
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            acting.result()
            return
        acting.cancel()
        seen.left_s = time.monotonic()
        self.left.set()
        raise ConnectionResetError


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Run a server on a free loopback port, in a thread with a loop of its own."""
    server, loop, ready = ChatServer(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
        server.base_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        ready.set()
        await stop.wait()
        listening.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _read_request(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
    body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
    method, path, _ = head[0].split(" ")
    return Seen(path, headers, body, time.monotonic(), method=method)


async def _act(act: Act, body: dict[str, Any], writer: Writer) -> None:
    if isinstance(act, Hang):
        await asyncio.Event().wait()
    elif isinstance(act, Reset):
        _reset(writer)
    elif isinstance(act, Status):
        error = {"message": act.message, "type": "test", "param": act.param, "code": act.error_code}
        await _send_whole(writer, act.code, {"error": error}, act.headers)
    elif isinstance(act, Raw):
        await _send_raw(act, writer)
    elif body.get("stream"):
        await _stream(act, body, writer)
    else:
        await asyncio.sleep(act.first_s + act.whole_s)
        message = {"role": "assistant", "content": "".join(act.deltas)}
        choice = {"index": 0, "message": message, "finish_reason": act.finish}
        usage = {"usage": USAGE} if act.counts else {}
        await _send_whole(writer, 200, {"id": "x", "model": body["model"], "choices": [choice], **usage})


async def _send_raw(act: Raw, writer: Writer) -> None:
    head = f"HTTP/1.1 {act.code} Status\r\ncontent-type: {act.kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    for piece in act.pieces:
        while piece is None:
            _chunk(writer, act.keep_alive)
            await writer.drain()
            await asyncio.sleep(0.02)
        _chunk(writer, piece)
        await writer.drain()
        await asyncio.sleep(act.gap_s)
    if act.then == "hang":
        await asyncio.Event().wait()
    if act.then == "reset":
        await asyncio.sleep(0.05)  # a reset overtakes what was sent right before it
        _reset(writer)
        return
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _send_whole(writer: Writer, code: int, reply: Any, headers: Sequence[tuple[str, str]] = ()) -> None:
    payload = json.dumps(reply).encode()
    lines = [f"HTTP/1.1 {code} Status", "content-type: application/json", f"content-length: {len(payload)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
    await writer.drain()


USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


async def _stream(act: Answer, body: dict[str, Any], writer: Writer) -> None:
    await asyncio.sleep(act.first_s)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    _event(writer, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    for position, delta in enumerate(act.deltas):
        if position == act.stall_after:
            await asyncio.Event().wait()
        if position == act.cut_after:
            _reset(writer) if act.reset else writer.close()
            return
        _event(writer, {"choices": [{"index": 0, "delta": {"content": delta}}]})
        await writer.drain()
        await asyncio.sleep(act.gap_s)
    if act.raw_after:
        _chunk(writer, act.raw_after)
    if act.finish:
        _event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": act.finish}]})
    if act.counts and (body.get("stream_options") or {}).get("include_usage"):
        _event(writer, {"choices": [], "usage": USAGE})
    if act.done:
        _chunk(writer, "data: [DONE]\n\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _event(writer: Writer, reply: dict[str, Any]) -> None:
    _chunk(writer, f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', **reply})}\n\n")


def _chunk(writer: Writer, text: str | bytes) -> None:
    payload = text.encode() if isinstance(text, str) else text
    writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")


def _reset(writer: Writer) -> None:
    """Close with a reset instead of a farewell."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
