"""EvalFlow: score one answer against named statements with a judge, and sum up the lines."""

import hashlib
import json
import sys
from copy import copy
from pathlib import Path
from typing import Any, Optional

from flowkit.base import background, genai, tracing
from flowkit.base.scale import FIVE, Scale
from flowkit.bridge.connections import ModelConfiguration, fields_of_connection
from flowkit.data.records import Verdict, plain
from flowkit.data.statements import read_statements
from flowkit.judge.asking import judge, together
from flowkit.judge.context import NOTHING_ELSE, Context
from flowkit.judge.evaluator import Evaluator
from flowkit.judge.messages import PASS_OR_FAIL, Asked, fitted
from flowkit.model.configuration import resolve
from flowkit.model.token_factor import factor_of
from flowkit.model.variables import read_variables
from flowkit.prompt.prompty import Prompt
from flowkit.prompt.service import models_of
from flowkit.scores import metrics
from flowkit.scores.prices import context_of

BASE_DIR = Path(__file__).absolute().parent
PROMPT = BASE_DIR / "eval_checklist.prompty"
MAX_TOTAL_TOKEN = 8000  # for a judge of which nobody knows how much it takes
FILLED = ("examples", "answer", "statement", "mark", "question", "chat_history", "reference", PASS_OR_FAIL)
EXAMPLES: list[dict[str, Any]] = [
    {
        "answer": "ChatGPT is a conversational AI model developed by OpenAI.",
        "statement": "It contains a brief explanation of ChatGPT.",
        "explanation": "The answer says in one sentence what ChatGPT is and who developed it.",
        "score": 5,
    },
    {
        "answer": "The Seine flows through Paris.",
        "statement": "It names a river in Germany.",
        "explanation": "The only river that it names is the Seine, which is in France.",
        "score": 1,
    },
    {
        "answer": "Bread takes flour, water, salt and yeast.",
        "statement": "It lists the ingredients of bread and tells how to bake it.",
        "explanation": "The ingredients are listed, but there is no word about the baking.",
        "score": 3,
    },
]


def check(answer: str, statement: str, model_config=None) -> dict:  # type: ignore
    """Score how well `statement` applies to `answer`: {"score": 1 to 5 or None, "explanation": text, ...}."""
    verdict: dict[str, Any] = EvalFlow(model_config)(answer, {"statement": statement})["statement"]
    return verdict


class EvalFlow:
    """Judge an answer by named statements.

    model_config: as for ChatFlow, for the judge.
    votes: how often each statement is judged, 1, 3 or 5 times; the median counts.
    prompt: the path of another prompty than eval_checklist.prompty.
    max_total_token: the most that the judge's prompt and its longest reply may take together; where it is not given,
    what the judge's model takes as far as that is known, else 8,000.
    """

    # promptflow reads these annotations and knows few: no quotes, no `X | Y`, no `-> dict`.
    def __init__(
        self,
        model_config: ModelConfiguration = None,
        votes: int = 1,
        prompt: Optional[str] = None,
        max_total_token: Optional[int] = None,
    ) -> None:
        if str(votes) not in ("1", "3", "5"):
            raise ValueError(f"votes must be 1, 3 or 5, got {votes!r}")
        self.votes = int(votes)  # promptflow's command line passes it as text
        self.prompt = Prompt.load(Path(prompt or PROMPT))
        self.prompt.check_filled(FILLED)
        self.max_total_token = int(max_total_token) if max_total_token else None
        default = models_of(self.prompt, model_config, read_variables())
        self.model = resolve(model_config, judge=True, connection=fields_of_connection, default=default)

    def __call__(  # type: ignore
        self,
        answer: str,
        statements: dict,  # type: ignore
        question: Optional[str] = None,
        chat_history: Optional[list] = None,  # type: ignore
        reference: Optional[str] = None,
    ):
        """Return {"score": 1 to 5 or None, "explanation": text, ...} for every statement, judged at the same time.

        statements: {name: text}, or the same as JSON text. The judge is shown of question, chat_history and reference
        what is given. A score of None means that no reply of the judge could be read; a request that fails raises, for
        then nothing is known. `flowkit.data.records.Verdict` has all fields.
        """
        return background.run(self.judge(answer, statements, question, chat_history, reference))

    async def judge(
        self, answer: str, statements: Any, question: Any = None, chat_history: Any = None, reference: Any = None
    ) -> dict[str, dict[str, Any]]:
        """Do the same on the running event loop."""
        named, context = read_statements(statements), Context.read(question, chat_history, reference)
        with tracing.span("EvalFlow", "Function", {"answer": answer, "statements": named, **context.given()}) as span:
            verdicts = await together(self.verdict(answer, each, context, span) for each in named.values())
            results = {name: plain(verdict) for name, verdict in zip(named, verdicts, strict=True)}
            tracing.record_output(span, results)
            for name, verdict in zip(named, verdicts, strict=True):
                genai.record_evaluation(span, name, verdict.score, verdict.explanation, verdict.read_by)
        return results

    async def verdict(
        self,
        answer: str,
        statement: str,
        context: Context = NOTHING_ELSE,
        parent: Any = None,
        paid: Any = None,
        scale: Scale = FIVE,
    ) -> Verdict:
        """Judge `answer` by one statement. parent: the span to trace below. paid: a list for the tokens of each ask."""
        asked, shown = self._asked(answer, statement, scale), await self.fitted(answer, statement, context, scale)
        return await judge(self.model, asked, self.votes, parent, paid, shown)

    async def fitted(self, answer: str, statement: str, context: Context, scale: Scale = FIVE) -> Context:
        """Return what the judge is shown of the context: what its prompt uses and its token budget allows."""
        context = context.used_by(self.prompt)
        if not context.chat_history and not context.reference:
            return context
        name, address = self.model.name, self.model.service.base_url
        budget = self.max_total_token or context_of(name, address) or MAX_TOTAL_TOKEN
        return await fitted(self._asked(answer, statement, scale), context, name, budget, factor_of(self.model))

    def messages(
        self,
        answer: str,
        statement: str,
        context: Context = NOTHING_ELSE,
        scale: Scale = FIVE,
        mark: Optional[str] = None,
    ) -> list[dict[str, str]]:
        """Return the prompt that the judge is sent first, with the whole context. mark: a new one where it is None."""
        return self._asked(answer, statement, scale).messages(context, mark)

    def _asked(self, answer: str, statement: str, scale: Scale) -> Asked:
        return Asked(self.prompt, answer, statement, EXAMPLES, scale)

    def limited(self, at_once: int) -> Any:
        """Return the same flow with at most `at_once` requests to the judge in flight."""
        flow = copy(self)
        flow.model = self.model.limited(at_once)
        return flow

    def as_evaluator(self) -> Evaluator:
        """Return this flow as Azure's `evaluate` takes an evaluator: flat numbers for each line, and our figures."""
        return Evaluator(self)

    @property
    def fingerprint(self) -> list[Any]:
        """What a verdict depends on besides what the judge is shown."""
        examples = hashlib.sha256(json.dumps(EXAMPLES, sort_keys=True).encode()).hexdigest()[:12]
        budget = [self.max_total_token] if self.max_total_token else []
        return [self.model.name, self.prompt.digest, self.votes, examples, *budget]

    def __aggregate__(self, line_results: list) -> dict:  # type: ignore[type-arg]
        """Return `average_<name>` for every statement name, the counts that make it honest, and `total`."""
        return metrics.summary(line_results)


if __name__ == "__main__":
    from flowkit.base.program import exit_code_of

    def main() -> int:
        """Judge an example; `python check_list.py calibrate labels.jsonl` compares the judge with people."""
        flow = EvalFlow()
        if sys.argv[1:2] == ["calibrate"]:
            from flowkit.run import calibrating

            return calibrating.main(sys.argv[2:], flow)
        result = flow(
            answer="ChatGPT is a conversational AI model developed by OpenAI. It is trained on a large body of text "
            "and on people's ratings of its replies, answers questions, drafts and explains text and code, "
            "and can be wrong.",
            statements={
                "correctness": "It contains a detailed explanation of ChatGPT.",
                "consise": "It is a consise statement.",
            },
        )
        print(json.dumps(result, indent=4))
        print(json.dumps(flow.__aggregate__([result]), indent=4))
        return 0

    sys.exit(exit_code_of(main, "check_list.py"))
