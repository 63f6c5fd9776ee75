"""Sends spans over OTLP, without content unless that is asked for; needs OpenTelemetry's SDK and its exporter."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from flowkit.base.genai import EVALUATION_EXPLANATION, INPUT_MESSAGES, OUTPUT_MESSAGES, captures_content
from flowkit.base.text import in_one_line

log = logging.getLogger(__name__)
SERVICE = "chat-async-stream"  # unless the environment names it
EVERY_MS = 1000  # OpenTelemetry's 5 s are what a web server that is stopped by a signal would lose
CONTENT = {
    *("inputs", "output", "prompt.template", "prompt.variables", "llm.generated_message"),  # for promptflow's page
    *(INPUT_MESSAGES, OUTPUT_MESSAGES, EVALUATION_EXPLANATION),
}


def export(endpoint: str, *, by_grpc: bool) -> None:
    """Send all spans of this process to `endpoint` from here on; the last ones when it ends.

    Raises ImportError where the exporter of the protocol is not installed.
    """
    exporter: SpanExporter
    if by_grpc:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as ByGrpc

        exporter = ByGrpc(endpoint=endpoint)
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as ByHttp

        exporter = ByHttp(endpoint=endpoint)
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # `Discreet` says it, once
    every_ms = int(os.environ.get("OTEL_BSP_SCHEDULE_DELAY") or EVERY_MS)
    _provider().add_span_processor(BatchSpanProcessor(Discreet(exporter, endpoint), schedule_delay_millis=every_ms))


def _provider() -> TracerProvider:
    """Return the one that promptflow has set up, else a new one."""
    if isinstance(there := trace.get_tracer_provider(), TracerProvider):
        return there
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    made = TracerProvider(resource=Resource.create({} if named else {"service.name": SERVICE}))
    trace.set_tracer_provider(made)
    return made


class Discreet(SpanExporter):
    """Hands spans on without what was asked and said, unless the environment asks for that.

    What cannot be sent is lost, which is said once: nobody's answer fails or waits for a viewer.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter, self._endpoint, self._has_failed = exporter, endpoint, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans."""
        cause = "is a viewer running there?"
        try:
            result = self._exporter.export([_for_viewers(span) for span in spans])
        except Exception as error:
            result, cause = SpanExportResult.FAILURE, f"{type(error).__name__}: {in_one_line(str(error), 300)}"
        if result is not SpanExportResult.SUCCESS and not self._has_failed:
            self._has_failed = True
            log.warning("traces could not be sent to %s: %s", self._endpoint, cause)
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything is sent."""
        return self._exporter.force_flush(timeout_millis)


def _for_viewers(span: ReadableSpan) -> ReadableSpan:
    """Return a copy without promptflow's events, which repeat its attributes, and without content nobody asked for."""
    kept = dict if captures_content() else _without_content
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=kept(span.attributes or {}),
        events=[
            Event(event.name, kept(event.attributes or {}), event.timestamp)
            for event in span.events
            if not event.name.startswith("promptflow.")
        ],
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_content(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in CONTENT}
