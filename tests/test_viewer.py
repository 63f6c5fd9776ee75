"""A trace viewer that knows nothing of this project shows an answer with its model, messages, tokens and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chat_server import USAGE, ChatServer
from tests.desk import Desk, healthy
from tests.viewer import Viewer, phoenix

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.viewer
TREE = {
    "": ["line"],
    "line": ["ChatFlow", "EvalFlow"],
    "ChatFlow": ["Stream Chat", "chat gpt-4o"],
    "EvalFlow": ["check", "check"],
    "check": ["chat gpt-4o", "chat gpt-4o"],
}


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """Run the viewer."""
    with phoenix(tmp_path_factory.mktemp("viewer")) as running:
        yield running


def tree_of(spans: list[dict[str, Any]]) -> dict[str, list[str]]:
    names, found = {span["context"]["span_id"]: span["name"] for span in spans}, dict[str, list[str]]()
    for span in spans:
        found.setdefault(names[span["parent_id"]] if span["parent_id"] else "", []).append(span["name"])
    return {above: sorted(below) for above, below in found.items()}


def test_one_answer_is_one_tree_with_its_model_messages_tokens_and_verdicts(
    viewer: Viewer, tmp_path: Path, server: ChatServer, page: Page
) -> None:
    server.usual = healthy
    desk = Desk(tmp_path, server, lines=1)
    desk.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": viewer.endpoint, "OPENAI_MODEL": "gpt-4o"}
    desk.environment |= {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    assert desk.run("--quiet")[0] == 0
    spans = viewer.wait_for(9)

    assert len({span["context"]["trace_id"] for span in spans}) == 1
    assert tree_of(spans) == TREE
    (flow,), (line,) = ([span for span in spans if span["name"] == name] for name in ("ChatFlow", "line"))
    (request,) = (
        span for span in spans if span["name"] == "chat gpt-4o" and span["parent_id"] == flow["context"]["span_id"]
    )
    # These are the viewer's own names: it has read the conventions.
    assert request["span_kind"] == "LLM"
    shown = request["attributes"]
    assert shown["llm.model_name"] == "gpt-4o"
    assert [shown["llm.token_count.prompt"], shown["llm.token_count.completion"]] == [
        USAGE["prompt_tokens"],
        USAGE["completion_tokens"],
    ]
    assert shown["llm.input_messages.1.message.content"] == "Question 0?"
    assert shown["llm.output_messages.0.message.content"] == "Re: Question 0?"
    verdicts = [event["attributes"] for event in line["events"]]
    verdicts = [json.loads(each) if isinstance(each, str) else each for each in verdicts]
    assert {each["gen_ai.evaluation.name"]: each["gen_ai.evaluation.score.value"] for each in verdicts} == {
        "short": 4,
        "right": 4,
    }

    page.goto(viewer.page_of(line["context"]["trace_id"]))
    page.get_by_text("EvalFlow", exact=True).first.wait_for()
    page.get_by_role("tab", name="Events").click()
    page.get_by_text("gen_ai.evaluation.result").first.wait_for()
