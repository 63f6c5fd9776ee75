"""openevals: create_async_llm_as_judge with openai's client as the judge; the answering is its user's."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI
from openevals.llm import create_async_llm_as_judge

from benchmarks.peers import Line, Result, answered, arguments, model, or_none, write

PROMPT = """Rate from 1 to 5 how well the statement applies to the answer.
<answer>{outputs}</answer>
<statement>{statement}</statement>"""


async def main() -> None:
    """Answer and judge all lines at the same time; a line that fails costs no other."""
    lines, at_once = arguments()
    client, gate = AsyncOpenAI(), asyncio.Semaphore(at_once)
    judge = create_async_llm_as_judge(prompt=PROMPT, judge=client, model=model(), choices=[1, 2, 3, 4, 5])

    async def score(answer: str, statement: str) -> float:
        async with gate:
            found = await judge(outputs=answer, statement=statement)
        return float(found["score"])

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
