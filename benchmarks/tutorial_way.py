"""How promptflow 1.18.5's tutorial streams an answer: everything anew per call, and a plain `for` over the network."""

from pathlib import Path
from typing import Any

from promptflow.core import OpenAIModelConfiguration, Prompty

CHAT_PROMPTY = Path(__file__).absolute().parent.parent / "chat.prompty"


class TutorialFlow:
    """The tutorial's ChatFlow, cut in three so that its trimming can be timed by itself."""

    def __init__(self, model_config: OpenAIModelConfiguration, max_total_token: int = 1100) -> None:
        self.model_config = model_config
        self.max_total_token = max_total_token

    # promptflow reads these annotations and knows few; `-> str` is an async generator.
    async def __call__(self, question: str, chat_history: list) -> str:  # type: ignore
        """Yield the answer to `question` in pieces of text; no other coroutine runs until it ends."""
        prompty = self.load()
        kept = self.trimmed(prompty, question, chat_history)
        for piece in prompty(question=question, chat_history=kept):
            yield piece

    def load(self) -> Any:
        """Read and parse the prompty file."""
        return Prompty.load(source=CHAT_PROMPTY, model={"configuration": self.model_config})

    def trimmed(self, prompty: Any, question: str, chat_history: list[dict[str, str]]) -> list[dict[str, str]]:
        """Drop the oldest message until the whole prompt, counted anew each time, fits."""
        while chat_history:
            if prompty.estimate_token_count(question=question, chat_history=chat_history) <= self.max_total_token:
                break
            chat_history = chat_history[1:]
        return chat_history
