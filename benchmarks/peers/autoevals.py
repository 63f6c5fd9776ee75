"""autoevals: LLMClassifier and its eval_async, gathered as its README does; the answering is its user's."""

from __future__ import annotations

import asyncio

from autoevals import LLMClassifier, init
from openai import AsyncOpenAI

from benchmarks.peers import Line, Result, answered, arguments, model, or_none, write

PROMPT = "Rate from 1 to 5 how well the statement applies to the answer.\nAnswer: {{output}}\nStatement: {{input}}"
SCORES = {str(score): (score - 1) / 4 for score in range(1, 6)}  # autoevals wants scores from 0 to 1


async def main() -> None:
    """Answer and judge all lines at the same time; a line that fails costs no other."""
    lines, at_once = arguments()
    client, gate = AsyncOpenAI(), asyncio.Semaphore(at_once)
    init(client, default_model=model())
    judge = LLMClassifier("checklist", PROMPT, SCORES, use_cot=True)

    async def score(answer: str, statement: str) -> float | None:
        async with gate:
            found = (await judge.eval_async(output=answer, input=statement)).score
        return None if found is None else 1 + 4 * found

    async def finish(line: Line) -> Result:
        async with gate:
            answer = await or_none(answered(client, line))
        if answer is None:
            return Result(line["question"])
        named = line["statements"]
        scores = await asyncio.gather(*(or_none(score(answer, text)) for text in named.values()))
        return Result(line["question"], answer, dict(zip(named, scores, strict=True)))

    write(await asyncio.gather(*map(finish, lines)))


asyncio.run(main())
