"""ChatFlow: load the prompt, fit the history to the token budget, stream one answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from copy import copy
from pathlib import Path
from typing import Any, Optional

from flowkit.base import tracing
from flowkit.bridge.connections import fields_of_connection
from flowkit.model.completion import Reply, stream_text
from flowkit.model.configuration import resolve
from flowkit.model.token_factor import factor_of, learn_factor
from flowkit.prompt.budget import fitted_messages
from flowkit.prompt.prompty import Prompt
from flowkit.prompt.tokens import load_vocabulary

BASE_DIR = Path(__file__).absolute().parent


class ChatFlow:
    """Answer questions, one after the other, as a stream of text.

    model_config: promptflow's OpenAIModelConfiguration or AzureOpenAIModelConfiguration, a dict of either's fields,
    or None for what .env and the environment say, else the offline demonstration.
    max_total_token: the most that the prompt and the longest reply (max_tokens in chat.prompty) may take together.
    """

    # promptflow reads these annotations and knows few: no quotes, no `X | Y`, no `from __future__ import annotations`.
    def __init__(self, model_config=None, max_total_token: int = 1100) -> None:  # type: ignore[no-untyped-def]
        self.model = resolve(model_config, connection=fields_of_connection)
        self.max_total_token = int(max_total_token)  # promptflow's command line passes its default as text
        self.prompt = Prompt.load(BASE_DIR / "chat.prompty")
        load_vocabulary(self.model.name)

    @property
    def fingerprint(self) -> list[Any]:
        """What an answer depends on besides question and history; not the address: a server may have moved."""
        return [self.model.name, self.prompt.digest, self.max_total_token]

    def limited(self, at_once: int) -> Any:
        """Return a copy that has at most `at_once` requests in flight, and slows down when the service asks for it."""
        flow = copy(self)
        flow.model = self.model.limited(at_once)
        return flow

    # `-> str` is what promptflow wants to see of a flow that streams text; it is an async generator.
    async def __call__(self, question: str = "What is ChatGPT?", chat_history: Optional[list] = None) -> str:  # type: ignore
        """Yield the answer to `question` in pieces of text.

        chat_history: oldest first, each {"role": "user" | "assistant" | "system", "content": text}.
        Nothing is sent before the first step. Who may stop early wraps this in `contextlib.aclosing`.
        """
        async with aclosing(self.stream(question, chat_history)) as pieces:
            async for piece in pieces:
                yield piece

    async def stream(
        self, question: str, chat_history: Any = None, reply: Optional[Reply] = None
    ) -> AsyncGenerator[str, None]:
        """Do the same, and tell `reply` how the answer ended (finished or cut) and what it cost."""
        reply = reply if reply is not None else Reply()
        inputs = {"question": question, "chat_history": chat_history}
        with tracing.span("ChatFlow", "Function", inputs) as span:
            messages, reply.dropped = await fitted_messages(
                self.prompt,
                self.model.name,
                question,
                chat_history,
                self.max_total_token,
                parent=span,
                factor=factor_of(self.model),
            )
            async with aclosing(
                stream_text(self.model, messages, self.prompt.parameters, reply, parent=span)
            ) as pieces:
                async for piece in pieces:
                    yield piece
            await learn_factor(self.model, messages, reply.usage)


if __name__ == "__main__":
    import asyncio
    import sys

    from flowkit.base.program import exit_code_of
    from flowkit.base.text import visible

    async def main() -> None:
        """Print the answer as it comes."""
        question = " ".join(sys.argv[1:]) or "What is Prompt flow?"
        show = visible if sys.stdout.isatty() else str  # a terminal would obey an escape sequence in an answer
        async for piece in ChatFlow()(question):  # type: ignore[attr-defined]
            print(show(piece), end="", flush=True)
        print()

    sys.exit(exit_code_of(lambda: asyncio.run(main()), "flow.py"))
