"""ChatFlow: load the prompt, fit the history to the token budget, stream one answer."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from copy import copy
from pathlib import Path
from typing import Any, Optional

from flowkit.base.tracing import trace
from flowkit.bridge.connections import ModelConfiguration, fields_of_connection
from flowkit.bridge.entry import takes_inputs_of
from flowkit.model.completion import Reply, stream_text
from flowkit.model.configuration import resolve
from flowkit.model.token_factor import factor_of, learn_factor
from flowkit.model.variables import read_variables
from flowkit.prompt.budget import fitted_messages
from flowkit.prompt.prompty import Prompt
from flowkit.prompt.service import models_of
from flowkit.prompt.tokens import load_vocabulary

BASE_DIR = Path(__file__).absolute().parent
PROMPT = BASE_DIR / "chat.prompty"
Pieces = AsyncGenerator[str, None]


def log(message: str) -> None:
    """Print what the flow does, beside the answer, where the variable VERBOSE is "true"."""
    if os.environ.get("VERBOSE", "false").lower() == "true":
        print(message, file=sys.stderr, flush=True)


class ChatFlow:
    """Answer questions, one after the other, as a stream of text.

    model_config: promptflow's OpenAIModelConfiguration or AzureOpenAIModelConfiguration, a dict of either's fields,
    or None for what .env and the environment say, else the offline demonstration.
    max_total_token: the most that the prompt and the longest reply (max_tokens in chat.prompty) may take together.
    prompt: the path of another prompty than chat.prompty. Its inputs are what the flow is called with.
    """

    _reply: Optional[Reply] = None

    # promptflow reads these annotations and knows few: no quotes, no `X | Y`, no `from __future__ import annotations`.
    def __init__(
        self, model_config: ModelConfiguration = None, max_total_token: int = 1100, prompt: Optional[str] = None
    ) -> None:
        self.prompt = Prompt.load(Path(prompt or PROMPT))
        default = models_of(self.prompt, model_config, read_variables())
        self.model = resolve(model_config, connection=fields_of_connection, default=default)
        self.max_total_token = int(max_total_token)  # promptflow's command line passes its default as text
        load_vocabulary(self.model.name)

    @property
    def fingerprint(self) -> list[Any]:
        """What an answer depends on besides what is asked; not the address: a server may have moved."""
        return [self.model.name, self.prompt.digest, self.max_total_token]

    def limited(self, at_once: int) -> Any:
        """Return a copy that has at most `at_once` requests in flight, and slows down when the service asks for it."""
        flow = copy(self)
        flow.model = self.model.limited(at_once)
        return flow

    # `-> str` is what promptflow wants to see of a flow that streams text; it is an async generator.
    @takes_inputs_of(PROMPT)
    @trace
    async def __call__(  # type: ignore
        self,
        question: str = "What is ChatGPT?",
        chat_history: Optional[list] = None,  # type: ignore
        **inputs: Any,
    ) -> str:
        """Yield the answer to `question` in pieces of text.

        chat_history: oldest first, each {"role": "user" | "assistant" | "system", "content": text}.
        inputs: of the prompt's own, by their names; those with a default may be left out.
        Nothing is sent before the first step. Who may stop early wraps this in `contextlib.aclosing`.
        """
        reply, factor = self._reply or Reply(), factor_of(self.model)
        messages, reply.dropped = await fitted_messages(
            self.prompt, self.model.name, question, chat_history, self.max_total_token, factor=factor, inputs=inputs
        )
        if reply.dropped:
            log(f"Dropped the {reply.dropped} oldest messages of the history to fit {self.max_total_token} tokens")
        async with aclosing(stream_text(self.model, messages, self.prompt.parameters, reply)) as pieces:
            async for piece in pieces:
                yield piece
        await learn_factor(self.model, messages, reply.usage)

    def stream(self, question: str, chat_history: Any = None, reply: Optional[Reply] = None, **inputs: Any) -> Pieces:
        """Do the same, and tell `reply` how the answer ended (finished or cut) and what it cost."""
        flow: Any = copy(self)
        flow._reply = reply
        pieces: Pieces = flow(question, chat_history, **inputs)
        return pieces


if __name__ == "__main__":
    import asyncio

    from flowkit.base.program import exit_code_of
    from flowkit.base.text import visible
    from flowkit.run.conversation import Conversation

    async def answer(question: str) -> None:
        """Print the answer as it comes."""
        show = visible if sys.stdout.isatty() else str  # a terminal would obey an escape sequence in an answer
        async for piece in ChatFlow()(question):  # type: ignore[attr-defined]
            print(show(piece), end="", flush=True)
        print()

    def main() -> None:
        """Answer the question; without one, talk to whoever sits at a terminal."""
        question = " ".join(sys.argv[1:])
        if not question and sys.stdin.isatty() and sys.stdout.isatty():
            return Conversation(ChatFlow()).go_on()
        return asyncio.run(answer(question or "What is Prompt flow?"))

    sys.exit(exit_code_of(main, "flow.py"))
