"""pydantic-evals: a Dataset with an LLMJudge for each statement."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import LLMJudge

from benchmarks.peers import Line, Result, answered, arguments, model, write


async def main() -> None:
    """Evaluate the dataset; a case that fails costs no other."""
    lines, at_once = arguments()
    client, judge = AsyncOpenAI(), OpenAIChatModel(model())
    judges = [
        LLMJudge(
            rubric=f"Score from 1 to 5 how well this applies: {text}",
            model=judge,
            score={"evaluation_name": name, "include_reason": True},
            assertion=False,
        )
        for name, text in lines[0]["statements"].items()
    ]
    cases = [Case(name=line["question"], inputs=line) for line in lines]
    dataset = Dataset[Line, str, None](name="lines", cases=cases, evaluators=judges)

    async def answer(line: Line) -> str:
        return await answered(client, line)

    report = await dataset.evaluate(answer, max_concurrency=at_once, progress=False)
    report.print(include_input=False, include_output=False)
    done = [
        Result(case.name, case.output, {name: found.value for name, found in case.scores.items()})
        for case in report.cases
    ]
    write([*done, *(Result(failure.name) for failure in report.failures)])


asyncio.run(main())
