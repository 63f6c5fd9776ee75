"""Spans in the form that promptflow's trace page shows; they cost nothing until `start_trace()` or another set-up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

# `@trace` loses the children of an async generator, and ends its span only when the generator runs to its end.
_tracer = trace.get_tracer("flowkit")


@contextmanager
def span(name: str, kind: str, inputs: Mapping[str, Any], parent: Span | None = None) -> Iterator[Span]:
    """Open a span below `parent` (else below the current one) and end it however the block is left.

    kind: promptflow's type of a span, "Function" or "LLM".
    The span is not made the current one: between two steps of a generator it would be its reader's.
    """
    context = trace.set_span_in_context(parent) if parent is not None else None
    opened = _tracer.start_span(name, context)
    if opened.is_recording():
        opened.set_attributes({"framework": "promptflow", "span_type": kind, "function": name})
        record(opened, "inputs", inputs, event="promptflow.function.inputs")
    try:
        yield opened
    except GeneratorExit:
        opened.set_attribute("output_type", "abandoned")  # the reader has left; that is no error
        raise
    except BaseException as error:
        opened.record_exception(error)
        opened.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        raise
    else:
        opened.set_status(StatusCode.OK)
    finally:
        opened.end()


def record(opened: Span, attribute: str, value: Any, event: str) -> None:
    """Keep `value` as JSON, where promptflow looks for it: as an attribute, and as an event for what is long."""
    if opened.is_recording():
        payload = json.dumps(value, indent=2, default=str)
        opened.set_attribute(attribute, payload)
        opened.add_event(event, {"payload": payload})


def record_prompt(opened: Span, template: str, variables: Mapping[str, Any]) -> None:
    """Keep the template and what was put in."""
    if opened.is_recording():
        opened.set_attributes({"prompt.template": template, "prompt.variables": json.dumps(variables, default=str)})
        payload = json.dumps({"prompt.template": template, "prompt.variables": variables}, default=str)
        opened.add_event("promptflow.prompt.template", {"payload": payload})


def record_output(opened: Span, output: Any) -> None:
    """Keep what the traced step gave."""
    record(opened, "output", output, event="promptflow.function.output")


def record_usage(opened: Span, usage: Mapping[str, int]) -> None:
    """Keep token counts, {"prompt_tokens", "completion_tokens", "total_tokens"}, under the names the page adds up."""
    for name, count in usage.items():
        opened.set_attribute(f"llm.usage.{name}", count)
        opened.set_attribute(f"__computed__.cumulative_token_count.{name.split('_')[0]}", count)
