"""A collector of traces on loopback, as a trace viewer has one: OTLP over HTTP, or over gRPC."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Sent:
    """A span as it came over the wire; attributes and events as plain values."""

    name: str
    id: str
    parent: str
    trace: str
    kind: int
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    service: str
    failed: bool = False


@dataclass
class Collector:
    """What came so far. endpoint: for OTEL_EXPORTER_OTLP_ENDPOINT. raw: every request's bytes."""

    endpoint: str
    spans: list[Sent] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Sent]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    def trees(self) -> list[dict[str, list[str]]]:
        """Return each trace as {name: names of the children, sorted}, with "" for what has no parent there."""
        found: dict[str, dict[str, list[str]]] = {}
        names = {span.id: span.name for span in self.spans}
        for span in self.spans:
            above = names.get(span.parent, "lost") if span.parent else ""
            tree = found.setdefault(span.trace, {})
            tree[above] = sorted([*tree.get(above, []), span.name])
        return list(found.values())

    def take(self, body: bytes) -> None:
        """Read one request."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.raw.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = _plain(resource.resource.attributes)["service.name"]
            self.spans += [_span(span, service) for scope in resource.scope_spans for span in scope.spans]

    def says(self, text: str) -> bool:
        """Say whether that text came, in whatever place."""
        return any(text.encode() in body for body in self.raw)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector for OTLP over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield collector
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def collecting_by_grpc() -> Iterator[Collector]:
    """Run a collector for OTLP over gRPC."""
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    class Service(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
            collector.take(request.SerializeToString())
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    collector = Collector(f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    yield collector
    server.stop(None).wait()


def _span(span: Any, service: str) -> Sent:
    return Sent(
        name=span.name,
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        trace=span.trace_id.hex(),
        kind=span.kind,
        attributes=_plain(span.attributes),
        events=[(event.name, _plain(event.attributes)) for event in span.events],
        service=service,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def messages(text: str) -> list[tuple[str, str]]:
    """Return the role and the text of each message that an attribute of the GenAI conventions holds."""
    return [(each["role"], "".join(part["content"] for part in each["parts"])) for each in json.loads(text)]
