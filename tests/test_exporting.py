"""One variable sends traces to a collector: from a script, a server, a batch, by either protocol, to the last span."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowkit.base.exporting import endpoint_of
from tests import documents, programs
from tests.chat_server import ChatServer
from tests.collector import Collector, collecting, collecting_by_grpc
from tests.desk import KEY, Desk, healthy

ONE_ANSWER = {"": ["ChatFlow"], "ChatFlow": ["Stream Chat", "chat gpt-4o"]}
ONE_LINE = {
    "": ["line"],
    "line": ["ChatFlow", "EvalFlow"],
    "ChatFlow": ["Stream Chat", "chat gpt-4o"],
    "EvalFlow": ["check", "check"],
    "check": ["chat gpt-4o", "chat gpt-4o"],
}
QUESTION = "Where do pelicans live?"
# The line of a batch by promptflow is worked on twice, in two runs.
BY_PROMPTFLOW = {**ONE_LINE, "line": ["ChatFlow", "EvalFlow", "line"]}
OFF = """
import asyncio, sys
from flow import ChatFlow
async def main():
    async for _ in ChatFlow()("What is it?"):
        pass
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))])
"""
OWN_SET_UP = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
"""
WITHOUT_PACKAGE = "import sys; sys.modules['opentelemetry.exporter'] = None\n"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run a collector for OTLP over HTTP."""
    with collecting() as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path, server: ChatServer) -> dict[str, str]:
    """Return the environment of a program that asks the server, and exports nothing yet."""
    server.usual = healthy
    model = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "gpt-4o"}
    return programs.environment_of(tmp_path / "home", PYTHONPATH=str(documents.PROJECT), **model)


def run(environment: dict[str, str], *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project; it must end well."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=documents.PROJECT,
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def at(collector: Collector, **more: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **more}


BASE, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, ""),
        ({BASE: " "}, ""),
        ({BASE: "http://viewer:4318/"}, "http://viewer:4318/v1/traces"),
        ({BASE: "http://viewer:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://viewer:4317"),
        ({BASE: "http://viewer", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({TRACES: "http://viewer/of/traces"}, "http://viewer/of/traces"),
        ({BASE: "http://other", TRACES: "http://viewer/of/traces"}, "http://viewer/of/traces"),
        # promptflow lets the second one lead to its own service, which gets our spans already.
        ({TRACES: "http://localhost:23333/v1/traces", "PF_TRACE_COLLECTION": "mine"}, ""),
        (
            {BASE: "http://viewer", TRACES: "http://localhost:23333/v1/traces", "PF_TRACE_COLLECTION": "mine"},
            "http://viewer/v1/traces",
        ),
    ],
)
def test_the_endpoint_is_what_opentelemetrys_variables_say(environment: dict[str, str], endpoint: str) -> None:
    assert endpoint_of(environment) == endpoint


@pytest.mark.slow
def test_a_script_sends_its_answer_as_one_tree_without_the_text(
    collector: Collector, environment: dict[str, str]
) -> None:
    done = run(environment, "flow.py", QUESTION, **at(collector))
    assert QUESTION in done.stdout  # the answer repeats it
    assert done.stderr == ""
    assert collector.trees() == [ONE_ANSWER]
    (span,) = collector.named("chat gpt-4o")
    assert (span.service, span.kind) == ("chat-async-stream", 3)  # a client's
    assert span.attributes["gen_ai.usage.output_tokens"] == 3
    assert not collector.says("pelicans")
    assert not collector.says(KEY)


@pytest.mark.slow
def test_over_grpc_too_under_a_name_of_ones_own_and_with_the_text_where_asked_for(environment: dict[str, str]) -> None:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.grpc", reason="needs gRPC: pip install -r requirements-traces.txt"
    )
    wanted = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_SERVICE_NAME": "my-flow"}
    with collecting_by_grpc() as collector:
        text = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
        run(environment, "flow.py", QUESTION, **at(collector, **wanted, **text))
    assert collector.trees() == [ONE_ANSWER]
    (span,) = collector.named("chat gpt-4o")
    assert span.service == "my-flow"
    assert QUESTION in span.attributes["gen_ai.input.messages"]
    assert QUESTION in span.attributes["gen_ai.output.messages"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "tree"),
    [
        ("local", ONE_LINE),
        pytest.param("promptflow", BY_PROMPTFLOW, marks=[pytest.mark.promptflow, pytest.mark.long]),
    ],
)
def test_a_batch_sends_a_tree_for_each_line_with_its_verdicts(
    tmp_path: Path, server: ChatServer, collector: Collector, engine: str, tree: dict[str, list[str]]
) -> None:
    server.usual = healthy
    desk = Desk(tmp_path, server, lines=3, engine=engine)
    desk.environment |= at(collector, OPENAI_MODEL="gpt-4o")
    code, printed = desk.run("--quiet")
    assert code == 0, printed
    assert collector.trees() == [tree] * 3
    found = [evaluation for line in collector.named("line") for evaluation in line.events]
    assert {name for name, _ in found} == {"gen_ai.evaluation.result"}
    assert sorted(each["gen_ai.evaluation.name"] for _, each in found) == ["right"] * 3 + ["short"] * 3
    assert {each["gen_ai.evaluation.score.value"] for _, each in found} == {4.0}


@pytest.mark.slow
def test_a_web_server_sends_while_it_runs(tmp_path: Path, collector: Collector, environment: dict[str, str]) -> None:
    (code,) = [block for block in documents.blocks("README.md", "python") if "starlette" in block]
    (tmp_path / "web.py").write_text(code)
    port = programs.free_port()
    command = [sys.executable, "-m", "uvicorn", "web:app", "--port", str(port)]

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", "/chat", json.dumps({"question": QUESTION}))
            return b"pelicans" in connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()

    with programs.running(command, tmp_path, {**environment, **at(collector)}, ask):
        programs.until(lambda: bool(collector.spans), lambda: "nothing was sent")
    assert collector.trees() == [ONE_ANSWER]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf or grpc, got",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "traces could not be sent to http://127.0.0.1:9/v1"),
    ],
    ids=["protocol", "nobody there"],
)
def test_what_cannot_be_sent_is_told_in_one_line_and_costs_no_answer(
    collector: Collector, environment: dict[str, str], variables: dict[str, str], said: str
) -> None:
    done = run(environment, "flow.py", QUESTION, **{**at(collector), **variables})
    assert QUESTION in done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert collector.spans == []


@pytest.mark.slow
def test_without_the_packages_one_line_says_what_to_install(collector: Collector, environment: dict[str, str]) -> None:
    done = run(environment, "-c", WITHOUT_PACKAGE + OFF, **at(collector))
    assert "pip install -r requirements-traces.txt, or the extra [traces]" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_off_opentelemetrys_sdk_is_not_even_imported(environment: dict[str, str]) -> None:
    assert run(environment, "-c", OFF).stdout == "[]\n"


@pytest.mark.slow
def test_whoever_has_set_up_tracing_is_left_alone(collector: Collector, environment: dict[str, str]) -> None:
    run(environment, "-c", OWN_SET_UP + OFF, **at(collector))
    assert collector.spans == []
