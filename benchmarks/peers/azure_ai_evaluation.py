"""azure-ai-evaluation: evaluate() with a target that answers, and its evaluator of completeness for each statement."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from azure.ai.evaluation import OpenAIModelConfiguration, ResponseCompletenessEvaluator, evaluate
from openai import AsyncOpenAI

from benchmarks.peers import Result, answered, arguments, model, or_none, write


class Target:
    """Answers a row."""

    def __init__(self) -> None:
        self.client = AsyncOpenAI()

    async def __call__(self, question: str, chat_history: Any) -> dict[str, str | None]:
        """Return the columns of the row that are the target's; one that raises would end the whole evaluation."""
        line = {"question": question, "chat_history": chat_history}
        return {"answer": await or_none(answered(self.client, line))}


def main() -> None:
    """Evaluate; the statement is each row's ground truth, for it is the answer that is to be complete."""
    lines, at_once = arguments()
    os.environ["PF_WORKER_COUNT"] = str(at_once)
    rows = [{**line, **line["statements"]} for line in lines]
    data = Path("rows.jsonl")
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    configuration = OpenAIModelConfiguration(
        type="openai",
        model=model(),
        base_url=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
    )
    names = list(lines[0]["statements"])
    found = evaluate(
        data=data,
        target=Target(),
        evaluators={name: ResponseCompletenessEvaluator(configuration) for name in names},
        evaluator_config={
            name: {"column_mapping": {"response": "${target.answer}", "ground_truth": f"${{data.{name}}}"}}
            for name in names
        },
        output_path="evaluation_results.json",
    )
    results = []
    for row in found["rows"]:
        scores = {name: row.get(f"outputs.{name}.response_completeness") for name in names}
        results.append(Result(row["inputs.question"], row.get("outputs.answer"), scores))
    write(results)


if __name__ == "__main__":
    main()
