"""Ask a judge how well one statement applies to one answer, so that the reply can be read, or is known not to be."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from opentelemetry.trace import Span

from flowkit.base import tracing
from flowkit.base.text import check_text
from flowkit.judge.reading import Verdict, median_of, parse
from flowkit.model.completion import complete_text
from flowkit.model.configuration import Model
from flowkit.prompt.history import Message
from flowkit.prompt.prompty import Prompt

T = TypeVar("T")
FORM = {
    "type": "object",
    "properties": {"explanation": {"type": "string"}, "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}},
    "required": ["explanation", "score"],
    "additionalProperties": False,
}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": FORM}}
STEPS = {
    "json_schema": "schema",
    "json_object": "json mode",
}  # what the service takes is known to flowkit.model.refusals
PROBLEM = """Your reply could not be read: {}.
Reply with one JSON object and nothing else:
{{"explanation": "<one or two sentences>", "score": <integer from 1 to 5>}}"""


async def judge(
    model: Model,
    prompt: Prompt,
    answer: str,
    statement: str,
    examples: list[dict[str, Any]],
    votes: int = 1,
    parent: Span | None = None,
) -> dict[str, Any]:
    """Return what `votes` judgements, made at the same time, say together.

    score: 1 to 5, the median of the votes; None when no reply could be read.
    explanation: of a vote with that score, or what was wrong.
    prompt: the digest of the prompt.
    read_by: the step that read that vote, "schema", "json mode" or "text"; else "cut" (by the token limit) or
        "unreadable".
    asks: how often the judge was asked in all.
    raw: the last reply of the first vote without a score; only where there is one.
    votes, spread, flips: all scores and how far they differ (see `Vote`); only where there are several.
    Raises `openai.APIError` for a request that fails: then nothing is known about the answer, and asking again helps.
    """
    check_text(answer, "answer")
    check_text(statement, "statement")
    with tracing.span("check", "Function", {"answer": answer, "statement": statement}, parent) as span:
        inputs = {"answer": answer, "statement": statement, "examples": [_quotable(example) for example in examples]}
        verdicts = await together(_verdict(model, prompt, inputs, span) for _ in range(votes))
        result = _result(verdicts, prompt.digest)
        tracing.record_output(span, result)
    return result


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results, in order; the first exception cancels the rest."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _verdict(model: Model, prompt: Prompt, inputs: dict[str, Any], parent: Span) -> Verdict:
    """Ask; ask again once with a higher limit if the reply was cut, and once if it could not be read."""
    # A mark that is new each time, so that no answer can close its own block.
    messages = prompt.messages(**inputs, mark=secrets.token_hex(8))
    parameters = {"response_format": SCHEMA, **prompt.parameters}
    remedies, asks = {"cut", "unreadable"}, 0
    while True:
        verdict, asks = await _ask(model, messages, parameters, parent), asks + 1
        if verdict.read_by not in remedies:
            return replace(verdict, asks=asks)
        remedies.remove(verdict.read_by)
        if verdict.read_by == "cut":
            limits = ("max_tokens", "max_completion_tokens")
            parameters |= {name: 4 * parameters[name] for name in limits if parameters.get(name)}
        else:
            said = verdict.raw if verdict.raw.strip() else "(nothing)"  # some services refuse a message without text
            problem = PROBLEM.format(verdict.explanation)
            messages += [{"role": "assistant", "content": said}, {"role": "user", "content": problem}]


async def _ask(model: Model, messages: list[Message], parameters: dict[str, Any], parent: Span) -> Verdict:
    raw, reply = await complete_text(model, messages, parameters, parent)
    verdict = parse(raw)
    if verdict.read_by == "json":  # also if cut, for then only blanks were
        return replace(verdict, read_by=STEPS.get(reply.format, "text"))
    if reply.finish_reason == "length":
        return Verdict(None, "the reply was cut by the token limit; raise max_tokens in the prompt", "cut", raw)
    return replace(verdict, read_by="unreadable" if verdict.score is None else "text")


def _result(verdicts: list[Verdict], digest: str) -> dict[str, Any]:
    vote = median_of(verdicts)
    deciding = next(verdict for verdict in verdicts if verdict.score == vote.score)
    result: dict[str, Any] = {
        "score": vote.score,
        "explanation": deciding.explanation,
        "prompt": digest,
        "read_by": deciding.read_by,
        "asks": sum(verdict.asks for verdict in verdicts),
    }
    if vote.unscored:
        result["raw"] = next(verdict.raw for verdict in verdicts if verdict.score is None)
    if len(verdicts) > 1:
        result |= {"votes": [verdict.score for verdict in verdicts], "spread": vote.spread, "flips": vote.flips}
    return result


def _quotable(example: dict[str, Any]) -> dict[str, Any]:
    """Return the example with texts that can neither end the quotation marks around them nor begin a new line."""
    return {
        name: json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else value
        for name, value in example.items()
    }
