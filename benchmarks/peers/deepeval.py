"""DeepEval: GEval with given steps for each statement, and evaluate(); the answering is its user's."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deepeval import evaluate
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig, ErrorConfig
from deepeval.metrics import GEval
from deepeval.metrics.g_eval import Rubric
from deepeval.models import OpenAIModel
from deepeval.test_case import LLMTestCase, SingleTurnParams
from openai import AsyncOpenAI

from benchmarks.peers import Line, Result, answered, arguments, model, or_none, write

LOWEST, HIGHEST = 1, 5
RUBRIC = [Rubric(score_range=(LOWEST, HIGHEST), expected_outcome="How well the statement applies.")]


async def answers(lines: list[Line], at_once: int) -> list[str | None]:
    """Return all answers, None where there is none."""
    gate = asyncio.Semaphore(at_once)
    async with AsyncOpenAI() as client:

        async def answer(line: Line) -> str | None:
            async with gate:
                return await or_none(answered(client, line))

        return await asyncio.gather(*map(answer, lines))


def main() -> None:
    """Answer all lines, then evaluate the answers; a metric that fails costs no other."""
    lines, at_once = arguments()
    results = {
        line["question"]: Result(line["question"], answer)
        for line, answer in zip(lines, asyncio.run(answers(lines, at_once)), strict=True)
    }
    cases = [LLMTestCase(input=each.question, actual_output=each.answer) for each in results.values() if each.answer]
    metrics = [
        GEval(
            name=name,
            evaluation_steps=[f"Check how well this applies to the actual output: {text}"],
            evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT],
            rubric=RUBRIC,
            model=OpenAIModel(model=model()),
        )
        for name, text in lines[0]["statements"].items()
    ]
    found = evaluate(
        cases,
        metrics,
        async_config=AsyncConfig(max_concurrent=at_once),
        display_config=DisplayConfig(show_indicator=False, print_results=False, inspect_after_run=False),
        cache_config=CacheConfig(use_cache=Path(".deepeval").exists()),  # as `deepeval test run --use-cache`
        error_config=ErrorConfig(ignore_errors=True),
    )
    for case in found.test_results:
        for metric in case.metrics_data or []:
            name = metric.name.removesuffix(" [GEval]")
            score = None if metric.score is None else LOWEST + (HIGHEST - LOWEST) * metric.score
            results[str(case.input)].scores[name] = score
    write(results.values())


if __name__ == "__main__":
    main()
