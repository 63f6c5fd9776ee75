"""Spans as OpenTelemetry has them, with what promptflow's trace page shows; they cost nothing where nobody wants them.

Wanted they are after promptflow's `start_trace()`, another set-up, or with an endpoint (see `exporting`).
"""

from __future__ import annotations

import functools
import inspect
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, nullcontext
from typing import Any, TypeVar, cast

from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    get_tracer,
    set_span_in_context,
    use_span,
)

from flowkit.base import exporting
from flowkit.base.genai import ERROR_TYPE
from flowkit.base.text import clean

F = TypeVar("F", bound=Callable[..., Any])
_tracer = get_tracer("flowkit")
_adding = threading.Lock()
_of_run: list[Callable[[], Mapping[str, Any]]] = []
TOKENS_BELOW = "__computed__.cumulative_token_count."  # the page reads them off the topmost span


def add_attributes(of_run: Callable[[], Mapping[str, Any]]) -> None:
    """Set on every span what `of_run` returns when the span starts, such as the name of the run."""
    _of_run.append(of_run)


def trace(function: F) -> F:
    """Record each call as a span: promptflow's `@trace`, for functions, coroutines and asynchronous generators.

    The span tells the arguments and what is returned; of a stream, what the model said. A model's configuration is left
    out: it may hold a key. The span ends however the call is left: by a result, an error, a cancellation, or a reader
    who leaves a stream early. promptflow's own loses what a generator calls, and ends only when all has been read.
    Within the call it is the current span, so what is called there is recorded below it; between two steps of a
    stream it is not, for then it would be its reader's.
    """
    parameters = inspect.signature(function)
    others = next((each.name for each in parameters.parameters.values() if each.kind is each.VAR_KEYWORD), None)
    unsaid = ("self", "model_config", others)

    def opened(values: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        arguments = parameters.bind(*values, **named)
        arguments.apply_defaults()
        inputs = {name: value for name, value in arguments.arguments.items() if name not in unsaid}
        if others:
            inputs |= arguments.arguments[others]
        return span(function.__qualname__.removesuffix(".__call__"), "Function", inputs)

    traced: Callable[..., Any]
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def traced(*values: Any, **named: Any) -> AsyncGenerator[Any, None]:
            with opened(values, named) as here:
                async with aclosing(function(*values, **named)) as pieces:
                    while True:
                        with current(here):
                            try:
                                piece = await anext(pieces)
                            except StopAsyncIteration:
                                return
                        yield piece

    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def traced(*values: Any, **named: Any) -> Any:
            with opened(values, named) as here, current(here):
                result = await function(*values, **named)
                record_output(here, result)
                return result

    else:

        @functools.wraps(function)
        def traced(*values: Any, **named: Any) -> Any:
            with opened(values, named) as here, current(here):
                result = function(*values, **named)
                record_output(here, result)
                return result

    return cast(F, traced)


def current(opened: Span) -> Any:
    """Make the span the current one for a block: what is recorded in it is below."""
    if not opened.get_span_context().is_valid:  # nobody records, so nothing is below it
        return nullcontext()
    return use_span(opened, record_exception=False, set_status_on_exception=False)


@contextmanager
def span(name: str, kind: str, inputs: Mapping[str, Any], parent: Span | None = None) -> Iterator[Span]:
    """Open a span below `parent` (else below the current one) and end it however the block is left.

    kind: promptflow's type of a span, "Function" or "LLM". What a model says is the output of our span above too, as
    long as that records none of its own.
    The span is not made the current one: between two steps of a generator it would be its reader's.
    """
    exporting.switch_on()
    above = get_current_span() if parent is None else parent
    span_kind = SpanKind.CLIENT if kind == "LLM" else SpanKind.INTERNAL
    opened = _tracer.start_span(name, set_span_in_context(above), span_kind)
    if opened.is_recording():
        opened.set_attributes({"framework": "promptflow", "span_type": kind, "function": name, **_attributes_of_run()})
        record(opened, "inputs", inputs, event="promptflow.function.inputs")
    try:
        yield opened
    except GeneratorExit:
        opened.set_attribute("output_type", "abandoned")  # the reader has left; that is no error
        raise
    except BaseException as error:
        opened.record_exception(error)
        record_failure(opened, f"{type(error).__name__}: {error}")
        raise
    else:
        if ERROR_TYPE not in _attributes(opened):
            opened.set_status(StatusCode.OK)
    finally:
        if opened.is_recording():
            kept = _attributes(opened)
            if "output" in kept:
                opened.add_event("promptflow.function.output", {"payload": kept["output"]})
                if kind == "LLM" and "span_type" in _attributes(above):
                    above.set_attribute("output", kept["output"])
            _add_tokens(above, kept)
        opened.end()


def record(opened: Span, attribute: str, value: Any, event: str) -> None:
    """Keep `value` as JSON, where promptflow looks for it: as an attribute, and as an event for what is long."""
    if opened.is_recording():
        payload = _json(value)
        opened.set_attribute(attribute, payload)
        opened.add_event(event, {"payload": payload})


def record_prompt(opened: Span, template: str, variables: Mapping[str, Any]) -> None:
    """Keep the template and what was put in."""
    if opened.is_recording():
        opened.set_attributes({"prompt.template": template, "prompt.variables": json.dumps(variables, default=str)})
        payload = json.dumps({"prompt.template": template, "prompt.variables": variables}, default=str)
        opened.add_event("promptflow.prompt.template", {"payload": payload})


def record_output(opened: Span, output: Any) -> None:
    """Keep what the traced step gave; its event, of which the page reads the first, is written when the span ends."""
    if opened.is_recording():
        opened.set_attribute("output", _json(output))


def record_failure(opened: Span, error: str) -> None:
    """Keep why the traced step failed, "APIError: the cause" for instance."""
    opened.set_attribute(ERROR_TYPE, error.partition(":")[0])
    opened.set_status(Status(StatusCode.ERROR, clean(error)))


def record_usage(opened: Span, usage: Mapping[str, int]) -> None:
    """Keep token counts, {"prompt_tokens", "completion_tokens", "total_tokens"}, for this span and those above it."""
    for name, count in usage.items():
        opened.set_attribute(f"llm.usage.{name}", count)
        opened.set_attribute(TOKENS_BELOW + name.split("_")[0], count)


def _add_tokens(above: Span, kept: Mapping[str, Any]) -> None:
    """Add the counts in `kept` to those of the span above, unless that has ended before its child."""
    counts = {name: count for name, count in kept.items() if name.startswith(TOKENS_BELOW)}
    if counts and above.is_recording():
        with _adding:  # somebody else's span may have children on several threads
            before = _attributes(above)
            above.set_attributes({name: before.get(name, 0) + count for name, count in counts.items()})


def _attributes(opened: Span) -> Mapping[str, Any]:
    """Return a copy of what the span keeps; only spans of the SDK let it be read."""
    return dict(getattr(opened, "attributes", None) or {})


def _attributes_of_run() -> dict[str, Any]:
    return {name: value for of_run in _of_run for name, value in of_run().items()}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str)
