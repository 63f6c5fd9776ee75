"""Server-sent events out of the bytes of a response, however the network cut them and whatever stands between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

FIELDS = (b"data", b"event", b"id", b"retry")
BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """data: the text of the event's data lines, joined by line breaks. name: of the event, "" where it has none."""

    data: str
    name: str = ""


class EventReader:
    """Cuts bytes into events.

    As the standard says: a comment, an `id:` or `retry:` alone, and blank lines are no event. Lines end with LF, CRLF
    or CR. Bytes that are no UTF-8 become U+FFFD.
    Beyond the standard, because services do so: a last event needs no blank line, and a text that is no field of an
    event (a JSON error, a whole reply, a web page) is given as an event too.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line that has not ended
        self._after_cr = False
        self._first = True
        self._data: list[bytes] = []
        self._name = b""
        self._bare: list[bytes] = []  # lines that are no field

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that are whole with this piece of the response."""
        if self._after_cr and piece[:1] == b"\n":
            piece = piece[1:]  # the second half of CRLF
            self._after_cr = False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        lines = piece.splitlines()
        whole = piece.endswith((b"\n", b"\r"))
        if len(lines) == 1 and not whole:
            self._rest.append(piece)
            return []
        lines[0] = b"".join([*self._rest, lines[0]])
        self._rest = [] if whole else [lines.pop()]
        return [event for line in lines for event in self._line(line)]

    def end(self) -> list[Event]:
        """Return what is left at the end of the response."""
        events = list(self._line(b"".join(self._rest))) if self._rest else []
        self._rest = []
        return [*events, *self._dispatch(), *self._dispatch_bare()]

    def _line(self, line: bytes) -> Iterable[Event]:
        if self._first:
            self._first, line = False, line.removeprefix(BOM)
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            return self._dispatch_bare() if self._bare else ()
        if not line:
            return self._dispatch() if self._data else self._blank()
        if line.startswith(b":"):
            return ()
        name, _, value = line.partition(b":")
        if name == b"event":
            self._name = value.strip()
        elif name.strip() == b"data":  # without a colon an empty text; indented at some services
            self._data.append(value.strip())
        elif name == b"error":  # llama.cpp's server
            before, self._name, self._data = self._dispatch(), name, [value.strip()]
            return before
        elif name not in FIELDS:
            self._bare.append(line)
            if line.startswith(b"{") and line.endswith(b"}") and len(self._bare) == 1:
                return self._dispatch_bare()  # one object in one line
        return ()

    def _blank(self) -> Iterable[Event]:
        self._name = b""
        return ()

    def _dispatch(self) -> Iterable[Event]:
        if not self._data:
            return ()
        event = Event(b"\n".join(self._data).decode("utf-8", "replace"), self._name.decode("utf-8", "replace"))
        self._data, self._name = [], b""
        return (event,)

    def _dispatch_bare(self) -> Iterable[Event]:
        if not self._bare:
            return ()
        event = Event(b"\n".join(self._bare).decode("utf-8", "replace"))
        self._bare = []
        return (event,)
