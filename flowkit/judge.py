"""Ask a judge how well one statement applies to one answer."""

from __future__ import annotations

import secrets
from typing import Any

from opentelemetry.trace import Span

from flowkit import tracing
from flowkit.completion import complete_text
from flowkit.history import check_text
from flowkit.model import Model
from flowkit.prompty import Prompt
from flowkit.verdict import Verdict, parse


async def judge(
    model: Model,
    prompt: Prompt,
    answer: str,
    statement: str,
    examples: list[dict[str, Any]],
    parent: Span | None = None,
) -> Verdict:
    """Return the judge's verdict; a reply that cannot be read is a verdict without a score.

    Raises `openai.APIError` for a request that fails: then nothing is known about the answer, and asking again helps.
    """
    check_text(answer, "answer")
    check_text(statement, "statement")
    with tracing.span("check", "Function", {"answer": answer, "statement": statement}, parent) as span:
        # A mark that is new each time, so that no answer can close its own block.
        messages = prompt.messages(examples=examples, answer=answer, statement=statement, mark=secrets.token_hex(8))
        raw, _ = await complete_text(model, messages, prompt.parameters, parent=span)
        verdict = parse(raw)
        tracing.record_output(span, {"score": verdict.score, "explanation": verdict.explanation})
    return verdict
