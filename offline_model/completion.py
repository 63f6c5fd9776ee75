"""Knows how an answer looks on the wire: one JSON object, or the same answer as server-sent events.

Its token numbers count word pieces (see `words.pieces`), not the tokens of any tokenizer.
"""

import json
from collections.abc import Iterator
from typing import Any

from offline_model.request import ChatRequest
from offline_model.words import pieces

PIECES_PER_CHUNK = 3


class Completion:
    """The answer `text` to `request`, cut where the request says; `created` is in seconds since 1970."""

    def __init__(self, request: ChatRequest, text: str, created: int) -> None:
        whole = pieces(text)
        self._pieces = whole[: request.max_pieces]
        self._finish_reason = "stop" if len(self._pieces) == len(whole) else "length"
        self._request = request
        self._created = created

    def body(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": "".join(self._pieces), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def events(self) -> Iterator[str]:
        """Yield what a client of OpenAI reads: the role, the text a few words at a time, the end, perhaps the usage."""
        yield self._delta({"role": "assistant", "content": ""})
        for first in range(0, len(self._pieces), PIECES_PER_CHUNK):
            yield self._delta({"content": "".join(self._pieces[first : first + PIECES_PER_CHUNK])})
        yield self._delta({}, self._finish_reason)
        if self._request.include_usage:
            yield self._chunk([], self._usage())
        yield "data: [DONE]\n\n"

    def _delta(self, delta: dict[str, str], finish_reason: str | None = None) -> str:
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}], None)

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> str:
        chunk = {**self._head("chat.completion.chunk"), "choices": choices}
        if self._request.include_usage:
            chunk["usage"] = usage
        return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._request.id, "object": kind, "created": self._created, "model": self._request.model}

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(pieces(message.text)) for message in self._request.messages)
        answer = len(self._pieces)
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
