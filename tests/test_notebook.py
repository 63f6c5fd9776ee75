"""The notebook, from a clean kernel, without a key, a keyring, a browser or a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests import programs
from tests.notebook import NOTEBOOK, clean_environment, copy_of_project, execute
from tests.test_litter import processes_of

PROJECT = Path(__file__).absolute().parent.parent


def shown(cell: Any) -> str:
    return "".join(str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in cell.outputs)


def cell_with(notebook: Any, source: str) -> Any:
    return next(cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source)


def check_outputs(notebook: Any) -> None:
    """Assert what a reader must see."""
    assert "<async_generator object ChatFlow.__call__" in shown(cell_with(notebook, "start_trace()"))
    assert "ChatGPT is a conversational assistant" in shown(cell_with(notebook, 'print(output, end=""'))
    assert "'score'" in shown(cell_with(notebook, "eval_result = eval_flow("))
    assert "outputs.output" in shown(cell_with(notebook, "pf.get_details(base_run)"))
    figures = shown(cell_with(notebook, "pf.get_metrics(eval_run)"))
    assert '"average_correctness": 5.0' in figures
    assert '"total": 3' in figures
    assert not [
        output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"
    ]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Path]:
    """Run it in a copy of the project; return it, the copy's folder and the home."""
    folder = tmp_path_factory.mktemp("notebook")
    home, copy = folder / "home", copy_of_project(folder)
    return execute(copy, {**clean_environment(home), "TMPDIR": str(home)}), copy, home


@pytest.mark.promptflow
@pytest.mark.slow
def test_it_runs_from_top_to_bottom_and_leaves_no_service(executed: tuple[Any, Path, Path]) -> None:
    notebook, folder, home = executed
    check_outputs(notebook)
    assert (folder / "flow.flex.yaml").read_text() == "entry: flow:ChatFlow\n"
    programs.until(lambda: processes_of(home) == [], lambda: f"still there: {processes_of(home)}", limit_s=15)


@pytest.mark.promptflow
@pytest.mark.slow
def test_the_page_of_its_last_step_shows_lines_verdicts_and_tokens(
    executed: tuple[Any, Path, Path], page: Page
) -> None:
    notebook, folder, home = executed
    names = [
        re.findall(r"ui/traces/\?#run=(\w+)", shown(cell_with(notebook, source)))[0]
        for source in ("base_run = pf.run(", "eval_run = pf.run(")
    ]
    port = programs.free_port()
    service = [sys.executable, "-m", "promptflow._cli.pf", "service", "start", "--debug", "--port", str(port)]
    with programs.running(service, folder, clean_environment(home), lambda: programs.answers(port, "/heartbeat")):
        page.goto(f"http://localhost:{port}/v1.0/ui/traces/?#run={','.join(names)}")
        rows = page.get_by_role("row").filter(has_text="ChatFlow")
        expect(rows).to_have_count(3, timeout=60_000)
        for title in ("Total tokens", "correctness", "consise"):
            expect(page.get_by_text(title, exact=True).first).to_be_visible(timeout=60_000)
        row = rows.filter(has_text="How many questions did user ask?")
        expect(row).to_contain_text("You asked 1 question before this one.")
        expect(row).to_contain_text("the answer has the number 1.")
        counted = programs.get_json(port, f"/v1.0/LineRuns/list?run={names[0]}")
        tokens = {line["inputs"]["question"]: line["cumulative_token_count"]["total"] for line in counted}
        assert tokens["How many questions did user ask?"] > 0
        expect(row).to_contain_text(str(tokens["How many questions did user ask?"]))


def test_it_is_committed_with_its_outputs_and_shows_the_files_as_they_are() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    check_outputs(notebook)
    assert shown(cell_with(notebook, 'open("flow.py")')).strip() == (PROJECT / "flow.py").read_text().strip()
    assert shown(cell_with(notebook, 'open("chat.prompty")')).strip() == (PROJECT / "chat.prompty").read_text().strip()


def test_it_holds_no_path_and_no_key() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|root|tmp|work|Users)/[^\s\"]*", text) == []
    assert re.findall(r"sk-[A-Za-z0-9]{8,}", text) == []
