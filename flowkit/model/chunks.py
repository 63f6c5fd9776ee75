"""What a service answers, chunk by chunk or whole: the text, and how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import httpx2
import openai

from flowkit.base.text import clean
from flowkit.model.events import Event, EventReader
from flowkit.model.reply import Reply, counts, note_beside, usage_in
from flowkit.model.within import NothingCameError, as_refused
from flowkit.model.words import has_words, is_error

KEEP_ALIVE = ("", "ping", "keep-alive", "keepalive", "heartbeat")
ANSWERING = ("", "message", "error")  # an event of another name, such as "status", may be about something else
FAREWELLS = ("[DONE]", '"[DONE]"', "DONE")
BETWEEN = re.compile(r"(?:\s|data:)*")  # two values in one event
JSON = json.JSONDecoder(strict=False)  # some services write a tab into a text as it is
NO_REASON = ("", "null", "none")
TEXT_PARTS = (None, "text", "output_text")
CUT = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(("max_length", "token_limit", "time_limit", "error_limit"), "length"),  # watsonx, Cohere
    "model_context_window_exceeded": "length",  # Anthropic, Zhipu
    **dict.fromkeys(("content_filter", "safety", "recitation", "prohibited_content", "sensitive"), "content_filter"),
    **dict.fromkeys(("blocklist", "spii", "content_filtered", "guardrail_intervened", "error_toxic"), "content_filter"),
}
# vLLM and SGLang abort, OpenRouter says "error", DeepSeek has no room, Zhipu lost its network: there is no answer then.
FAILED = (
    *("abort", "aborted", "cancelled", "canceled", "error", "failed", "network_error", "timeout"),
    "insufficient_system_resource",
)


class ReplyReader:
    """Reads the bytes of a response as pieces of text, and notes in a `Reply` how the answer ends.

    A chunk, a whole reply and an error are known by what they hold, whatever the content type says. Raises
    `openai.APIError` for an error and for what is no reply; its `body` is what came. The first text, and no other, is
    "": the service has begun to answer.
    done: nothing more comes, says the service. chunks: how many belong to an answer. has_streamed: one had text.
    """

    def __init__(self, reply: Reply, request: httpx2.Request) -> None:
        self.done = False
        self.chunks = 0
        self._reply, self._request = reply, request
        self._events = EventReader()
        self._has_begun = False
        self.has_streamed = False
        self._half = ""  # the first half of a surrogate pair, whose second half may come in the next chunk
        self._stranger: dict[str, object] = {}  # an object that came and says nothing that we know

    def feed(self, piece: bytes) -> Iterator[str]:
        """Yield the texts that are complete with this piece of the response."""
        return self._texts(self._events.feed(piece))

    def end(self) -> Iterator[str]:
        """Yield the last texts. Raises where the response is at its end and the answer is not."""
        if not self.done:
            yield from self._texts(self._events.end(), at_end=True)
        reason = self._reply.finish_reason
        if reason in FAILED:
            raise self._error(f"the service gave this answer up, finish_reason {reason!r}")
        if reason is None and self.has_streamed and has_words(self._stranger):
            raise self._error("the service reports an error", json.dumps(self._stranger))
        if reason is None and self._stranger and not self.has_streamed:
            raise self._error("what came is no chat completion", json.dumps(self._stranger))
        if reason is None and self.done and not self.chunks:
            raise self._error("the service ended its stream without an answer")
        if reason is None and not self.done:
            kind = openai.APIConnectionError if self.chunks else NothingCameError
            raise kind(message="the reply ended before the answer did", request=self._request)
        self._reply.finish_reason = reason or "stop"
        yield from self._begin()
        if self._half:
            yield "\ufffd"

    def _begin(self) -> Iterator[str]:
        if not self._has_begun:
            self._has_begun = True
            yield ""

    def _texts(self, events: Iterable[Event], at_end: bool = False) -> Iterator[str]:
        for event in events:
            has_ended = self._reply.finish_reason is not None and self._reply.finish_reason not in FAILED
            try:
                texts = [self._joined(self._take(frame)) for frame in self._frames_of(event, at_end)]
            except openai.APIError:
                if not has_ended:
                    raise
                continue  # what goes wrong after the answer's end costs nothing
            if self.chunks:
                yield from self._begin()
            yield from filter(None, texts)
            if self.done:
                return

    def _frames_of(self, event: Event, at_end: bool) -> list[Any]:
        """Return the JSON of an event, usually one; none for a keep-alive."""
        text = event.data
        if event.name not in ANSWERING and '"choices"' not in text and '"error"' not in text:
            return []
        if not text.startswith("{"):
            text = text.strip()
            if text.upper() in FAREWELLS or text.startswith(FAREWELLS[0]):
                self.done = True
                return []
            if text in KEEP_ALIVE:
                return []
        try:
            frames = [JSON.decode(text)]
        except (ValueError, RecursionError):
            frames = self._frames_of_text(event, at_end)
        if event.name == "error" and frames:
            raise self._error("the service reports an error", frames[0])
        return frames

    def _frames_of_text(self, event: Event, at_end: bool) -> list[Any]:
        """Return what a text that is no JSON may be: several chunks, an error, or half a chunk at the end."""
        if frames := self._several(event.data):
            return frames
        if event.name == "error":
            return [event.data]
        if at_end and event.data.startswith("{"):
            return []
        raise self._error("the service sent what is no JSON", event.data)

    def _several(self, text: str) -> list[Any]:
        """Return the values that follow each other in `text`, where a service left out the blank line between them."""
        frames, at = list[Any](), 0
        with suppress(ValueError, RecursionError):
            while (at := _end_of_gap(text, at)) < len(text):
                if text.startswith(FAREWELLS, at):
                    self.done = True
                    break
                frame, at = JSON.raw_decode(text, at)
                frames.append(frame)
            return frames
        return []

    def _take(self, frame: Any) -> str:
        """Return the text of a chunk or of a whole reply, and note what else it says."""
        if frame is None or frame == "":
            return ""
        if isinstance(frame, list) and len(frame) == 1 and isinstance(frame[0], dict):
            frame = frame[0]  # an error of Gemini's
        if not isinstance(frame, dict):
            raise self._wrong("a chunk of the stream", "an object", frame)
        if is_error(frame):
            raise self._error("the service reports an error", frame)
        if usage := usage_in(frame):
            self._reply.usage = counts(usage)
        if self._reply.model is None and isinstance(name := frame.get("model"), str):
            self._reply.model = clean(name) or None
        if self._reply.id is None and isinstance(given := frame.get("id"), str):
            self._reply.id = clean(given) or None
        if not (choices := frame.get("choices")):
            if frame and not usage and ("choices" not in frame or has_words(frame)):
                self._stranger = frame
            return ""
        if not isinstance(choices, list):
            raise self._wrong("'choices'", "a list", choices)
        self.chunks += 1
        return self._choice(choices[0])

    def _choice(self, choice: Any) -> str:
        if not isinstance(choice, dict):
            raise self._wrong("'choices[0]'", "an object", choice)
        if choice.get("error"):  # OpenRouter
            raise self._error("the service reports an error", choice)
        whole = not choice.get("delta") and "message" in choice
        message = choice.get("message" if whole else "delta") or {}
        if not isinstance(message, dict):
            raise self._wrong("'message'" if whole else "'delta'", "an object", message)
        text = self._text_of(message.get("content") if message else choice.get("text"))
        if whole and self.has_streamed:
            text = ""  # the last chunk repeats the answer
        self.has_streamed |= bool(text) and not whole
        if not text and message:
            note_beside(self._reply, message)
        if usage := choice.get("usage"):  # Moonshot's
            self._reply.usage = counts(usage)
        if not text and (refusal := message.get("refusal")):
            text, self._reply.refused = self._text_of(refusal), True
        reason = choice.get("finish_reason") or choice.get("finishReason")  # Gemini's
        if isinstance(reason, str) and (reason := clean(reason).lower()) not in NO_REASON:
            plain = reason.partition(":")[0].replace("-", "_").removeprefix("image_")  # "content_filter: SAFETY"
            self._reply.finish_reason = CUT.get(plain, reason)
            self._reply.refused |= reason == "refusal"
        elif whole:
            self._reply.finish_reason = "stop"
        return text

    def _text_of(self, content: Any) -> str:
        """Return what is text in the content of a message: a text, or a list of parts of which some are thinking."""
        if content is None or isinstance(content, str):
            return content or ""
        if isinstance(content, dict):
            if {"text", "type", "refusal"}.isdisjoint(content):  # Cloudflare reads the model's JSON itself
                return json.dumps(content, ensure_ascii=False)
            content = [content]
        if not isinstance(content, list):
            raise self._wrong("'content'", "text or a list of parts", content)
        return "".join(map(self._text_of_part, content))

    def _text_of_part(self, part: Any) -> str:
        if isinstance(part, str):
            return part
        if not isinstance(part, dict):
            return ""
        if part.get("type") == "refusal":
            self._reply.refused = True
            return str(part.get("refusal") or "")
        text = part.get("text")
        text = text.get("value") if isinstance(text, dict) else text
        is_answer = part.get("type") in TEXT_PARTS and not part.get("thought")
        return text if is_answer and isinstance(text, str) else ""

    def _joined(self, text: str) -> str:
        """Return `text` as UTF-8 can carry it; half a surrogate pair at its end waits for the other half."""
        if not text or (text.isascii() and not self._half):
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
        return clean(text[:-1] if self._half else text)

    def _wrong(self, what: str, expected: str, came: object) -> openai.APIError:
        shown = came if isinstance(came, str) else json.dumps(came)
        return self._error(f"{what} must be {expected}, got {type(came).__name__}", shown)

    def _error(self, message: str, body: object = None) -> openai.APIError:
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            body = body["error"]  # as openai does, which reads the error's code there
        error = openai.APIError(clean(message), self._request, body=body)
        return error if self.chunks else as_refused(error)  # what has begun is never asked for again


def _end_of_gap(text: str, at: int) -> int:
    gap = BETWEEN.match(text, at)
    return gap.end() if gap else at
