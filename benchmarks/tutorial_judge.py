"""How promptflow 1.18.5's tutorial judges an answer: a prompty loaded anew per statement, one after the other."""

import json
from pathlib import Path
from typing import Any

from promptflow.core import OpenAIModelConfiguration, Prompty

JUDGE_PROMPTY = Path(__file__).absolute().parent / "tutorial_judge.prompty"
EXAMPLES = [
    {
        "answer": "ChatGPT is a conversational AI model developed by OpenAI.",
        "statement": "It contains a brief explanation of ChatGPT.",
        "explanation": "The answer says in one sentence what ChatGPT is.",
        "score": 5,
    }
]


class TutorialJudge:
    """The tutorial's EvalFlow."""

    def __init__(self, model_config: OpenAIModelConfiguration) -> None:
        self.model_config = model_config

    def __call__(self, answer: str, statements: dict):  # type: ignore
        """Return {"explanation": text, "score": 1 to 5} for every statement."""
        return {name: self.check(answer, statement) for name, statement in statements.items()}

    def check(self, answer: str, statement: str) -> Any:
        """Ask about one statement."""
        prompty = Prompty.load(source=JUDGE_PROMPTY, model={"configuration": self.model_config})
        return json.loads(prompty(examples=EXAMPLES, answer=answer, statement=statement))

    def __aggregate__(self, line_results: list) -> dict:  # type: ignore[type-arg]
        """Return the mean score of every statement."""
        names = line_results[0]
        sums = {f"average_{name}": sum(line[name]["score"] for line in line_results) for name in names}
        return {**{name: total / len(line_results) for name, total in sums.items()}, "total": len(line_results)}
