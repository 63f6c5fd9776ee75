"""The notebook as it is committed: its outputs, the files that it shows, no path and no key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

from tests.notebook import NOTEBOOK

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
    assert "{'answer': 2.33, 'answer, question': 3.67}" in shown(cell_with(notebook, "about_the_question"))
    assert not [
        output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"
    ]


def test_it_is_committed_with_its_outputs_and_shows_the_files_as_they_are() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    check_outputs(notebook)
    assert shown(cell_with(notebook, 'open("flow.py")')).strip() == (PROJECT / "flow.py").read_text().strip()
    assert shown(cell_with(notebook, 'open("chat.prompty")')).strip() == (PROJECT / "chat.prompty").read_text().strip()


def test_it_holds_no_path_and_no_key() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert re.findall(r"/(?:home|root|tmp|work|Users)/[^\s\"]*", text) == []
    assert re.findall(r"sk-[A-Za-z0-9]{8,}", text) == []
