"""The traces benchmark: what an answer takes where spans cannot be recorded, are not, and are sent to a collector."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from timeit import repeat
from typing import Any

from opentelemetry.trace import INVALID_SPAN

from benchmarks import machine, measure, table
from benchmarks.processes import hermetic_environment, run_python, running_server
from flowkit.base import tracing

ROUNDS, AT_ONCE, ANSWERS, SPANS = 5, 64, 512, 10_000
WAYS = ("no spans", "off", "on", "with text")
RATIOS = [("off", "no spans"), ("on", "off"), ("with text", "off")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect or measure one way where that is asked for, else run the whole benchmark."""
    parser = argparse.ArgumentParser(description="Compare answers with and without traces.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--collect", action="store_true", help="take traces and drop them, until killed")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--base-url")
    options = parser.parse_args(arguments)
    if options.collect:
        collect()
    elif options.way:
        if options.way == WAYS[0]:
            leave_spans_out()
        found = asyncio.run(measure.throughput("ours", options.base_url, {AT_ONCE: ANSWERS}))
        print(json.dumps({**found, **({"span_us": span_us()} if options.way in WAYS[:2] else {})}))
    else:
        text = report(options.rounds)
        print(text)
        table.write_section("traces", text)


def leave_spans_out() -> None:
    """Take the spans out of this process, whose flow is not imported yet."""

    @contextmanager
    def no_span(*_: object) -> Iterator[Any]:
        yield INVALID_SPAN

    replaced: Any = tracing
    replaced.span, replaced.trace = no_span, lambda function: function


def span_us() -> float:
    """Return the microseconds that one span takes that nobody records."""

    def open_one() -> None:
        with tracing.span("nothing", "Function", {}):
            pass

    return min(repeat(open_one, number=SPANS, repeat=5)) / SPANS * 1e6


def collect() -> None:
    """Answer each request well; the address is the first line of the output."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def report(rounds: int) -> str:
    """Measure every way `rounds` times and return the section of RESULTS.md."""
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (
        hermetic_environment() as environment,
        running_server(environment) as base_url,
        running_server(environment, "benchmarks.traces", "--collect") as collector,
    ):
        sent = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
        of_way = {"on": sent, "with text": {**sent, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}}
        for number in range(rounds):
            for way in (*WAYS[number % 4 :], *WAYS[: number % 4]):
                command = ("-m", "benchmarks.traces", "--way", way, "--base-url", base_url)
                for name, value in run_python({**environment, **of_way.get(way, {})}, *command).items():
                    samples[name][way].append(value)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    labels = {
        f"cpu_ms {AT_ONCE}": "ms of CPU per answer",
        f"per_s {AT_ONCE}": "answers per second",
        f"first_ms {AT_ONCE}": "ms to the first chunk above the server's own 0.1 s",
        f"peak_mb {AT_ONCE}": "MB of memory at most",
        "span_us": "µs for a span that nobody records",
    }
    header = ["", *WAYS, *(f"{above} / {below}" for above, below in RATIOS)]
    rows = [table.row(label, samples[name], WAYS, RATIOS) for name, label in labels.items()]
    return f"""## Traces

{date.today()}, {machine.described(["openai", "opentelemetry-sdk"])}. Reproduce with `make bench`.

{ANSWERS} streamed answers, {AT_ONCE} in flight, from the server of the streaming benchmark. no spans: the calls that
open spans are taken out of the process. off: as it is, with no endpoint set; an answer has three spans. on: they go to
a collector on this machine. with text: question and answer too. Medians of {rounds} rounds, each in fresh processes;
in brackets the lowest and the highest round. More is better for answers per second, less for all else.

{table.markdown(header, rows)}
"""


if __name__ == "__main__":
    main()
