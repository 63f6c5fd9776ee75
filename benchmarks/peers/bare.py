"""openai's client by itself, below a semaphore; a verdict that is no JSON ends its line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from openai import AsyncOpenAI, DefaultAioHttpClient

from benchmarks.peers import INSTRUCTIONS, Line, Result, answered, arguments, model, or_none, write


async def main() -> None:
    """Answer and judge all lines at the same time; a line that fails costs no other."""
    lines, at_once = arguments()
    gate, instructions = asyncio.Semaphore(at_once), INSTRUCTIONS.read_text()
    async with AsyncOpenAI(http_client=DefaultAioHttpClient()) as client:

        async def score(answer: str, statement: str) -> Any:
            said: Any = [
                {"role": "system", "content": instructions},
                {"role": "user", "content": f"answer: {answer}\nstatement: {statement}"},
            ]
            async with gate:
                reply = await client.chat.completions.create(
                    model=model(), messages=said, temperature=0, max_tokens=512
                )
            return json.loads(reply.choices[0].message.content or "")["score"]

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
