"""A conversation at a terminal: questions, answers as they come, and a line of data made of it."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import openai

from flowkit.base.text import clean, in_one_line, visible
from flowkit.model.completion import Reply
from flowkit.prompt.history import Message

HELP = "/save FILE keeps the conversation as a line of data, Ctrl-C ends an answer, /quit or Ctrl-D ends this"
SHOWN = 2_000  # characters of an error


class Conversation:
    """What was said so far. chat_flow: a ChatFlow; it sends the newest messages that fit its token budget."""

    def __init__(self, chat_flow: Any) -> None:
        self.chat_flow = chat_flow
        self.messages: list[Message] = []
        chat_flow.prompt.check_filled(("question", "chat_history"))

    def go_on(self) -> None:
        """Ask and answer until the person ends it."""
        with suppress(ImportError):
            import readline  # noqa: F401 - input() edits its line with it
        wants_more, says = True, HELP
        while wants_more:
            try:
                if says:
                    print(says)
                says = ""
                wants_more = self._turn()
            except KeyboardInterrupt:  # also a second one, while this one is told
                says = f"\n{HELP}"

    def _turn(self) -> bool:
        """Read what the person types and do it; say whether they want to go on."""
        try:
            said = clean(input("> ")).strip()
        except EOFError:
            print()
            return False
        command, _, file = said.partition(" ")
        if command == "/save":
            print(self._saved(file.strip()))
        elif said and said != "/quit":
            self._answer(said)
        return said != "/quit"

    def _answer(self, question: str) -> None:
        """Print the answer and keep it; of one that ends early, what had come."""
        pieces: list[str] = []
        try:
            asyncio.run(self._print(question, pieces))
        except KeyboardInterrupt:
            pass
        except (openai.OpenAIError, OSError, ValueError) as error:
            print(f"\n{in_one_line(clean(str(error)), SHOWN)}", end="")
        print()
        if text := "".join(pieces):
            self.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": text}]

    async def _print(self, question: str, pieces: list[str]) -> None:
        reply = Reply()
        async with aclosing(self.chat_flow.stream(question, self.messages, reply)) as answer:
            async for piece in answer:
                pieces.append(piece)
                print(visible(piece), end="", flush=True)
        if reply.dropped:
            print(f"\n(the {reply.dropped} oldest messages did not fit the budget)", end="")

    def _saved(self, file: str) -> str:
        """Append to a JSONL file the last question and all that was said before it; say what was done."""
        if not file:
            return "write the file's name: /save data.jsonl"
        if not self.messages:
            return "nothing is asked yet"
        *before, asked, _ = self.messages
        line = json.dumps({"question": asked["content"], "chat_history": before}, ensure_ascii=False)
        path = Path(file).expanduser()
        try:
            with path.open("a+b") as lines:
                ends_amid_a_line = lines.tell() and not path.read_bytes().endswith(b"\n")
                lines.write((b"\n" if ends_amid_a_line else b"") + line.encode() + b"\n")
        except OSError as error:
            return f"{file}: cannot be written: {error.strerror or error}"
        return f"{visible(file)}: one line more, the question {in_one_line(asked['content'], 40)!r}"
