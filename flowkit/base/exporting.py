"""Spans to any viewer that speaks OTLP: OTEL_EXPORTER_OTLP_ENDPOINT alone switches that on, in every program.

OpenTelemetry's other variables hold too: for headers, protocol, time limits, sampling, the service's name. What was
asked and said leaves the process only where OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is "true".
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from opentelemetry import trace

log = logging.getLogger(__name__)
ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL, TRACES_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
HTTP, GRPC = "http/protobuf", "grpc"
SET_BY_PROMPTFLOW = "PF_TRACE_COLLECTION"  # whenever it lets TRACES_ENDPOINT lead to its own service
_setting_up = threading.Lock()


def switch_on() -> None:
    """Export from here on, if the environment says where to. Called before each span: off, it takes some 2 µs."""
    if endpoint := endpoint_of(os.environ):
        with _setting_up:
            _export_to(endpoint)


def flush() -> None:
    """Wait until what has been recorded is sent, for a process that may be killed. Off, this does nothing."""
    if endpoint_of(os.environ):
        getattr(trace.get_tracer_provider(), "force_flush", bool)()


def endpoint_of(environment: Mapping[str, str]) -> str:
    """Return where an environment sends spans, "" for nowhere."""
    if ENDPOINT not in environment and TRACES_ENDPOINT not in environment:
        return ""
    if environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return ""
    if SET_BY_PROMPTFLOW not in environment and (own := environment.get(TRACES_ENDPOINT, "").strip()):
        return own
    shared = environment.get(ENDPOINT, "").strip()
    return f"{shared.rstrip('/')}/v1/traces" if shared and _protocol(environment) == HTTP else shared


def _protocol(environment: Mapping[str, str]) -> str:
    return (environment.get(TRACES_PROTOCOL) or environment.get(PROTOCOL) or HTTP).strip().lower()


@lru_cache(maxsize=1)
def _export_to(endpoint: str) -> None:
    provider, protocol = trace.get_tracer_provider(), _protocol(os.environ)
    if not isinstance(provider, trace.ProxyTracerProvider) and not _is_promptflows(provider):
        return  # whoever has set this process up for tracing has said where its spans go
    if protocol not in (HTTP, GRPC):
        log.warning("no traces are sent: %s must be %s or %s, got %.40r", PROTOCOL, HTTP, GRPC, protocol)
        return
    try:
        from flowkit.base import otlp

        otlp.export(endpoint, by_grpc=protocol == GRPC)
    except ImportError as error:
        needs = "pip install -r requirements-traces.txt, or the extra [traces]"
        log.warning("no traces are sent, though %s is set: that needs %s (%s)", ENDPOINT, needs, error)


def _is_promptflows(provider: Any) -> bool:
    resource = getattr(provider, "resource", None)
    return resource is not None and resource.attributes.get("service.name") == "promptflow"
