"""The documents' pictures: `python -m tests.screenshot report` or `traces` takes one anew, of the tutorial's run."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import batch
from tests.browser import launched
from tests.viewer import phoenix

PROJECT = Path(__file__).absolute().parent.parent
IMAGES = PROJECT / "images"


def report() -> None:
    """Run the tutorial, open its report and its second line, and keep what is to be seen."""
    with tempfile.TemporaryDirectory() as out:
        run_tutorial(out)
        with launched() as browser:
            page = browser.new_page(viewport={"width": 1200, "height": 800})
            page.goto((Path(out) / "report.html").as_uri())
            page.get_by_role("button", name="line 2, show all of it").click()
            page.screenshot(path=IMAGES / "report.png", full_page=True)


def traces() -> None:
    """Run the tutorial with a trace viewer listening, and keep the tree of its first line, with the verdicts."""
    with tempfile.TemporaryDirectory() as folder, phoenix(Path(folder)) as viewer:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = viewer.endpoint
        os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"
        run_tutorial(f"{folder}/out")
        lines = [span for span in viewer.wait_for(27) if span["name"] == "line"]
        (first,) = (line for line in lines if line["attributes"]["line_number"] == 1)
        with launched() as browser:
            page = browser.new_page(viewport={"width": 1400, "height": 780})
            page.goto(viewer.page_of(first["context"]["trace_id"]))
            page.get_by_role("tab", name="Events").click()
            verdicts = page.get_by_text("gen_ai.evaluation.result")
            for number in (0, 1):
                verdicts.nth(number).click()
            page.wait_for_timeout(1000)  # the panels slide
            page.screenshot(path=IMAGES / "traces.png", clip={"x": 352, "y": 46, "width": 1048, "height": 734})


def run_tutorial(out: str) -> None:
    batch.main(["--data", str(PROJECT / "data.jsonl"), "--out", out, "--quiet"])


if __name__ == "__main__":
    {"report": report, "traces": traces}[sys.argv[1]]()
