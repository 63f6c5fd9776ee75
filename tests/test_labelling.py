"""The loop of labels: a person scores pairs in the page of a run, saves them, and the run tells the corrected mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from flowkit.report.html import write_report
from tests.runs import failed, row, write_run
from tests.test_report import opened

PROJECT = Path(__file__).absolute().parent.parent
LINES = 14
pytestmark = pytest.mark.slow


def batch(folder: Path, *arguments: str) -> str:
    """Run batch.py offline in that folder, as a job of GitHub, and return what it prints."""
    command = [sys.executable, str(PROJECT / "batch.py"), "--data", "lines.jsonl", "--quiet", *arguments]
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": "summary.md"}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def labelling(page: Page) -> None:
    """Open the label mode by keyboard."""
    page.get_by_role("button", name="Label answers").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()


def saved(page: Page, to: Path) -> list[dict[str, Any]]:
    """Save the labels by keyboard and return them."""
    page.get_by_role("button", name="Save labels").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "labels.jsonl"
    download.value.save_as(to)
    return [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]


def test_twelve_pairs_labelled_by_keyboard_correct_the_mean(tmp_path: Path, page: Page) -> None:
    questions = [f"Please say in {3 + i} words what the colour number {i} is." for i in range(LINES)]
    lines = [{"question": question, "statements": {"colour": "It names a colour."}} for question in questions]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    batch(tmp_path)
    assert opened(page, tmp_path / "out" / "report.html") == []
    labelling(page)
    expect(page.locator("#count")).to_have_text("Pair 1 of 14, 0 labelled")
    expect(page.locator("#judge-said")).to_be_empty()
    page.keyboard.press("5")
    expect(page.locator("#judge-said")).to_contain_text("you gave 5, the judge ")
    page.keyboard.press("b")
    expect(page.get_by_role("button", name="5", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("4")
    page.keyboard.press("s")
    expect(page.locator("#judge-said")).to_be_empty()
    for score in "12345123451":
        page.keyboard.press(score)
    expect(page.locator("#count")).to_have_text("Pair 14 of 14, 12 labelled")
    found = saved(page, tmp_path / "labels.jsonl")
    assert [label["score"] for label in found] == [4, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1]
    sample = json.loads((tmp_path / "out" / "sample.json").read_text())
    drawn = [pair["line"] for pair in sample["pairs"]]
    assert [label["line"] for label in found] == [drawn[0], *drawn[2:13]]
    assert {(label["name"], label["run"], label["chosen"]) for label in found} == {("colour", sample["run"], "sample")}
    journal = (tmp_path / "out" / "journal.jsonl").read_bytes()
    printed = batch(tmp_path, "--resume", "out", "--labels", "labels.jsonl")
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == journal  # nothing was asked
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert figures["human_labels_colour"] == 12
    assert figures["human_ci95_low_colour"] < figures["human_colour"] < figures["human_ci95_high_colour"]
    assert "12 of 14" in printed
    assert f"| colour | {figures['human_colour']:.2f} | " in (tmp_path / "summary.md").read_text()
    assert json.loads((tmp_path / "out" / "sample.json").read_text()) == sample
    assert opened(page, tmp_path / "out" / "report.html") == []
    cells = page.get_by_role("row", name="colour").first.inner_text()
    assert f"{figures['human_colour']:.2f}" in cells
    assert f"{figures['average_colour']:.2f}" in cells


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a run with a failed line, one without a score, and one with nothing to say."""
    statements = {"a": "It is <b>a</b>.", "b": "It is b."}
    rows = [row(i, statements, [1 + i % 5, None if i == 3 else 4]) for i in range(1, 8)]
    rows[1] = replace(rows[1], answer="</pre><img src=x onerror='window.ran = 1'>")
    rows[2] = replace(rows[2], answer=" ")
    return write_report(write_run(tmp_path_factory.mktemp("run"), [*rows, failed(8, statements)]))


def test_what_a_person_gave_is_there_after_the_page_is_opened_again(report: Path, page: Page) -> None:
    opened(page, report)
    labelling(page)
    for key in ("3", "s", "2"):
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#open-labelling")).to_have_text("Label answers (2 labelled)")
    assert opened(page, report) == []
    labelling(page)
    expect(page.locator("#count")).to_have_text("Pair 2 of 12, 2 labelled")
    assert page.evaluate("window.ran") is None


def test_where_the_browser_keeps_nothing_the_labels_can_be_saved_all_the_same(
    report: Path, page: Page, tmp_path: Path
) -> None:
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }})")
    assert opened(page, report) == []
    labelling(page)
    page.keyboard.press("2")
    expect(page.locator("#unkept")).to_be_visible()
    assert [label["score"] for label in saved(page, tmp_path / "labels.jsonl")] == [2]


def test_who_chooses_the_lines_is_told_that_only_the_sample_corrects(report: Path, page: Page, tmp_path: Path) -> None:
    opened(page, report)
    page.get_by_label("Find").fill("Question 5:")
    page.locator("#chosen").select_option("free")
    labelling(page)
    expect(page.locator("#free")).to_be_visible()
    expect(page.locator("#count")).to_have_text("Pair 1 of 2, 0 labelled")
    for key in "51":
        page.keyboard.press(key)
    expect(page.locator("#count")).to_contain_text("This was the last pair; 2 of 2 are labelled.")
    found = saved(page, tmp_path / "labels.jsonl")
    assert [(label["line"], label["name"], label["score"], label["chosen"]) for label in found] == [
        (5, "a", 5, "free"),
        (5, "b", 1, "free"),
    ]
    assert [label["question"].split(":")[0] for label in found] == ["Question 5", "Question 5"]
    assert "reference" not in found[0]


def test_a_run_without_answers_offers_no_labelling(tmp_path: Path, page: Page) -> None:
    opened(page, write_report(write_run(tmp_path, [failed(1, {"a": "It is."})])))
    expect(page.locator("#people")).to_be_hidden()


def test_a_check_of_accessibility_finds_nothing_in_the_label_mode(report: Path, browser: Browser) -> None:
    with browser.new_page(bypass_csp=True, viewport={"width": 390, "height": 800}) as page:
        opened(page, report)
        labelling(page)
        page.keyboard.press("3")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found: dict[str, Any] = Axe().run(page).response
            assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
