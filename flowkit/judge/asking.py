"""Ask a judge how well one statement applies to one answer, so that the reply can be read, or is known not to be."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import openai
from opentelemetry.trace import Span

from flowkit.base import tracing
from flowkit.base.json_text import JsonObject
from flowkit.base.scale import FIVE, Scale
from flowkit.base.text import check_text
from flowkit.data.records import Tokens, Verdict, plain
from flowkit.data.usage import added, tokens_of
from flowkit.judge.context import NOTHING_ELSE, Context
from flowkit.judge.messages import Asked
from flowkit.judge.reading import Reading, is_copied, median_of, parse, repeats_itself, said_elsewhere
from flowkit.model.completion import complete_text
from flowkit.model.configuration import Model
from flowkit.prompt.history import Message

T = TypeVar("T")
STEPS = {
    "json_schema": "schema",
    "json_object": "json mode",
}  # what the service takes is known to flowkit.model.refusals
LONGER = 4  # times the limit, for a reply that was cut
PROBLEM_TOKENS = 200  # the most that a problem, as it is told to the judge, takes
CUT = "the reply was cut by the token limit; raise max_tokens in the prompt"
REPEATING = "the judge repeats itself; another model helps, or other parameters in the prompt, but no higher max_tokens"
FILTERED = "the service's content filter withheld the reply"
COPIED = "the judge gives an example's explanation word for word and has judged nothing; another model helps"
PROBLEM = """Your reply {}.
Reply with one JSON object and nothing else:
{{"explanation": "<one or two sentences>", "score": <{}>}}"""
PROBLEMS = {  # that are worth a second try, by `read_by`
    "unreadable": "could not be read: {}",
    "repeating": "repeats itself until it is cut",
    "copied": "has the explanation of an example; judge this answer by this statement, in words of your own",
}


async def judge(
    model: Model,
    asked: Asked,
    votes: int = 1,
    parent: Span | None = None,
    paid: list[Tokens] | None = None,
    context: Context = NOTHING_ELSE,
) -> Verdict:
    """Return what `votes` judgements, made at the same time, say together.

    paid: gets the tokens of each reply when it comes; a request that fails later takes none of them away.
    context: what is shown beside answer and statement; it fits (see `flowkit.judge.messages.fitted`).
    Raises `openai.APIError` for a request that fails: then nothing is known about the answer, and asking again helps.
    """
    check_text(asked.answer, "answer")
    check_text(asked.statement, "statement")
    inputs = {"answer": asked.answer, "statement": asked.statement, **context.given()}
    with tracing.span("check", "Function", inputs, parent) as span:
        paid = paid if paid is not None else []
        readings = await together(_reading(model, asked, context, paid, span) for _ in range(votes))
        verdict = replace(
            _verdict(readings, asked),
            tokens=added(paid),
            history_dropped=context.history_dropped or None,
            reference_dropped=context.reference_dropped or None,
        )
        tracing.record_output(span, plain(verdict))
    return verdict


def form_of(scale: Scale) -> JsonObject:
    """Return the form that a reply has to have, as a request's response_format."""
    form = {
        "type": "object",
        "properties": {"explanation": {"type": "string"}, "score": scale.schema},
        "required": ["explanation", "score"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": form}}


def most_tokens(prompt: int, limit: int) -> tuple[int, int]:
    """Return the most tokens that one vote may take: of its prompts, and of its replies.

    prompt: tokens of the first prompt. limit: `max_tokens` of a reply. The judge is asked three times at the most, the
    last two times with a higher limit, the last time with its reply before it.
    """
    longer = LONGER * limit
    return 3 * prompt + longer + PROBLEM_TOKENS, limit + 2 * longer


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results, in order; the first exception cancels the rest."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _reading(model: Model, asked: Asked, context: Context, paid: list[Tokens], parent: Span) -> Reading:
    """Ask; ask again once with a higher limit if the reply was cut, and once if it is no verdict otherwise.

    paid: gets the tokens of each ask.
    """
    foreign, scale = asked.foreign_explanations(), asked.scale
    messages = asked.messages(context)
    parameters = {"response_format": form_of(scale), **asked.prompt.parameters}
    may_raise_limit, may_ask_again, asks, reading = True, True, 0, None
    while True:
        try:
            reading = await _ask(model, messages, parameters, foreign, paid, parent, scale)
        except openai.BadRequestError as error:
            if error.code == "content_filter":  # Azure's, of the prompt: asking again gives nothing else
                return Reading(None, FILTERED, "filtered", "", asks + 1)
            if reading is None or reading.read_by != "cut":
                raise
            return replace(reading, asks=asks + 1)  # the higher limit is above the model's
        asks += 1
        if reading.read_by == "cut" and may_raise_limit:
            may_raise_limit = False
            limits = ("max_tokens", "max_completion_tokens")
            parameters |= {name: LONGER * parameters[name] for name in limits if parameters.get(name)}
        elif reading.read_by in PROBLEMS and may_ask_again:
            may_ask_again = False
            messages += _asked_again(reading, scale)
        else:
            return replace(reading, asks=asks)


async def _ask(
    model: Model,
    messages: list[Message],
    parameters: JsonObject,
    foreign: list[str],
    paid: list[Tokens],
    parent: Span,
    scale: Scale,
) -> Reading:
    raw, reply = await complete_text(model, messages, parameters, parent)
    paid.append(await tokens_of(reply.usage, model.name, messages, raw))
    if not raw.strip():
        raw = said_elsewhere(["".join(reply.arguments), "".join(reply.reasoning)]) or raw
    reading = parse(raw, scale)
    if reply.finish_reason == "length" and reading.read_by != "json":  # else only blanks were cut
        return Reading(None, REPEATING, "repeating", raw) if repeats_itself(raw) else Reading(None, CUT, "cut", raw)
    if reading.score is None and reply.finish_reason == "content_filter":
        return Reading(None, FILTERED, "filtered", raw)
    if reading.score is None:
        return replace(reading, read_by="unreadable")
    if is_copied(reading.explanation, foreign):
        return Reading(None, COPIED, "copied", raw)
    return replace(reading, read_by=STEPS.get(reply.format, "text") if reading.read_by == "json" else "text")


def _asked_again(reading: Reading, scale: Scale) -> list[Message]:
    """Return what the judge said and what is wrong with it."""
    said = reading.raw if reading.raw.strip() else "(nothing)"  # some services refuse a message without text
    if reading.read_by == "repeating":
        said = f"{said[:200]}..."  # a model that is shown a loop goes on with it
    expected = scale.expected.removeprefix("an ")
    problem = PROBLEM.format(PROBLEMS[reading.read_by].format(reading.explanation), expected)
    return [{"role": "assistant", "content": said}, {"role": "user", "content": problem}]


def _verdict(readings: list[Reading], asked: Asked) -> Verdict:
    scale = asked.scale
    vote, several = median_of(readings, scale), len(readings) > 1
    deciding = next(reading for reading in readings if reading.score == vote.score)
    return Verdict(
        score=vote.score,
        explanation=deciding.explanation,
        prompt=asked.prompt.digest,
        read_by=deciding.read_by,
        asks=sum(reading.asks for reading in readings),
        raw=next((reading.raw for reading in readings if reading.score is None), None),
        votes=[reading.score for reading in readings] if several else None,
        spread=vote.spread if several else None,
        flips=vote.flips if several else None,
        scale=None if scale is FIVE else scale.name,
    )
