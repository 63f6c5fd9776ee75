"""The page of a run, as it is written and as a browser shows it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from flowkit.data.records import Row, plain
from flowkit.report import html as report
from flowkit.report.html import MOST_LINES, write_report
from tests.runs import failed, row, write_run

PROJECT = Path(__file__).absolute().parent.parent
STATEMENTS = {"correct": "It is correct.", "short": "It is short."}
FORTY = {f"正確さ {i} - ein langer Name mit Größe und Übersicht": f"Es ist Aussage {i}." for i in range(40)}
HOSTILE = '<script>window.ran = 1</script></script><img src=x onerror="window.ran = 1">&amp;\'{{ 7 * 7 }}'
HISTORY = [{"role": "user", "content": "An old question."}, {"role": "user", "content": "A newer one."}]
ERROR = "BadRequestError: Error code: 400 - the prompt was filtered"


def lines(count: int, seed: int = 0) -> list[Row]:
    """Return so many lines; one in ten failed, one in ten has no score for the first statement."""
    kinds = [(1, 4), (3, 4), (5, 5), (4, 4), (2, 5), (None, 5), (5, 4), (4, 3)]
    return [
        failed(i, STATEMENTS, ERROR)
        if i % 10 == 7
        else row(i, STATEMENTS, kinds[(i + seed) % len(kinds)], seed, chat_history=HISTORY, history_dropped=1)
        for i in range(1, count + 1)
    ]


def hostile() -> Row:
    found = row(1, {HOSTILE: HOSTILE}, [2])
    assert found.verdicts
    verdict = replace(found.verdicts[HOSTILE], explanation=HOSTILE, raw=HOSTILE, votes=[2, None, 2])
    history = [{"role": HOSTILE, "content": HOSTILE}]
    return replace(found, question=HOSTILE, answer=HOSTILE, chat_history=history, verdicts={HOSTILE: verdict})


def passes(count: int, seed: int = 0) -> list[Row]:
    """Return lines with a statement that passes or fails, and passes once of two; with another seed, the others."""
    rules = {"polite": {"scale": "pass", "weight": 2.0}, "right": {"weight": 1.0}}
    statements = {"polite": "It is polite.", "right": "It is right."}
    made = [
        row(i, statements, [(i + seed) % 2, 4], rules=rules, extra={"topic": topic}, answered_from="data")
        for i in range(1, count + 1)
        for topic in [("geo", "shop")[i % 3 == 0]]
    ]
    verdicts = [dict(each.verdicts or {}) for each in made]
    return [
        replace(each, verdicts={**found, "polite": replace(found["polite"], scale="pass")})
        for each, found in zip(made, verdicts, strict=True)
    ]


# As it is written


@pytest.mark.slow
def test_a_thousand_lines_take_less_than_a_megabyte(tmp_path: Path) -> None:
    rows = lines(1000)
    assert len(json.dumps(plain(rows))) > 1.4e6
    assert write_report(write_run(tmp_path, rows)).stat().st_size < 1e6


@pytest.mark.slow
def test_of_very_many_lines_those_are_shown_that_need_a_look(tmp_path: Path) -> None:
    rows = [row(i, {"a": "It is."}, [5], answer="") for i in range(1, MOST_LINES + 1)]
    rows.append(failed(MOST_LINES + 1, {"a": "It is."}))
    page = write_report(write_run(tmp_path, rows)).read_text(encoding="utf-8")
    assert "The 5,000 lines that most need a look; 1 more" in page


def test_the_page_says_what_the_judge_took_and_what_the_run_cost(tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, lines(2))).read_text(encoding="utf-8")
    verdicts = 2 * len(STATEMENTS)
    for label, count in (("prompts", verdicts * 700), ("replies", verdicts * 50)):
        assert f">tokens of the judge's {label}<" in page
        assert f">{count:,} in all<" in page
    assert "about $0.0000030, $0.0000015 a line (prices of genai-prices 0.2.3)" in page


def test_a_text_of_a_megabyte_is_cut(tmp_path: Path) -> None:
    rows = [row(1, STATEMENTS, [5, 5], answer="".join(map(chr, range(0x20000, 0x20000 + 40_000))))]
    assert write_report(write_run(tmp_path, rows)).stat().st_size < 200_000


def test_the_rows_of_a_former_version_make_a_page_too(tmp_path: Path) -> None:
    old = ("line", "question", "answer", "verdicts", "statements", "error")
    folder = write_run(tmp_path, lines(3))
    rows = [json.loads(line) for line in (folder / "details.jsonl").read_text(encoding="utf-8").splitlines()]
    (folder / "details.jsonl").write_text(
        "".join(json.dumps({name: each[name] for name in old}) + "\n" for each in rows), encoding="utf-8"
    )
    (folder / "metrics.json").write_text(
        '{"average_correct": 3.0, "total": 3, "answered": 3, "judged": 3, "failed": 0}'
    )
    assert "unknown" in write_report(folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("missing", ["details.jsonl", "metrics.json"])
def test_a_folder_without_a_run_gets_one_clear_line(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (write_run(tmp_path, lines(2)) / missing).unlink()
    capsys.readouterr()
    assert report.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"report: {tmp_path / missing}: ")
    assert said.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blocked", "shell", "code", "said"),
    [(False, "", 0, ""), (False, "| true", 0, ""), (True, "", 1, "report: [Errno 21] Is a directory")],
)
def test_the_program_ends_in_a_line_at_most(blocked: bool, shell: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "\u4f60").mkdir()
    folder = write_run(tmp_path / "\u4f60", lines(2))
    (folder / "report.html").unlink(missing_ok=True)
    if blocked:
        (folder / "report.html").mkdir()
    command = shlex.join([sys.executable, "-m", "flowkit.report", str(folder)])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} {shell}"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    complaint = done.stderr.decode()
    assert (done.returncode, complaint.count("\n")) == (code, bool(said))
    assert complaint.startswith(said)


# In a browser


def opened(page: Page, path: Path) -> list[str]:
    """Open the page, wait until it can be used, and return what it says in the console and asks of a network."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready]")
    assert heard.pop(0) == path.as_uri()
    return heard


def shown_lines(page: Page) -> list[int]:
    return [int(text) for text in page.locator("tr.line th").all_inner_texts()]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the reports of all kinds of runs."""
    folder = tmp_path_factory.mktemp("runs")
    baseline = write_run(folder / "before", lines(30, seed=1))
    made = {
        "thousand": write_run(folder / "thousand", lines(1000)),
        "all failed": write_run(folder / "failed", [failed(i, STATEMENTS, ERROR) for i in range(1, 6)]),
        "forty statements": write_run(
            folder / "forty", [row(i, FORTY, [1 + (i + j) % 5 for j in range(40)]) for i in range(1, 40)]
        ),
        "hostile": write_run(
            folder / "hostile",
            [hostile(), failed(2, {HOSTILE: HOSTILE}, HOSTILE)],
            **{"answered_by": HOSTILE, "judged_by": HOSTILE, "data": {"file": HOSTILE, "sha256": HOSTILE}},
        ),
    }
    made["passes"] = write_run(folder / "passes", passes(12), by="topic")
    reports = {name: write_report(run) for name, run in made.items()}
    passed = write_report(write_run(folder / "passes now", passes(12, 1), by="topic"), made["passes"])
    return {**reports, "passes": passed, "compared": write_report(write_run(folder / "now", lines(30)), baseline)}


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the tutorial's own run."""
    out = tmp_path_factory.mktemp("tutorial") / "out"
    command = [sys.executable, "batch.py", "--out", str(out), "--quiet"]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=120)
    return out / "report.html"


KINDS = ["thousand", "all failed", "forty statements", "compared", "hostile", "passes"]


@pytest.mark.slow
def test_the_tutorials_page_says_what_ran_and_what_came_of_it(tutorial: Path, page: Page) -> None:
    assert opened(page, tutorial) == []
    head = page.locator("header").inner_text()
    assert "offline demonstration took part" in head
    assert "offline-demo, the model that answered" in head
    assert re.search(r"3\s*lines\s*3\s*answered\s*3\s*judged\s*0\s*failed", head)
    expect(page.get_by_role("row", name="correctness 5.00")).to_contain_text("5.00")
    expect(page.get_by_role("img", name="mean 4.67 from 1 to 5")).to_be_visible()
    expect(page.locator("table", has_text="to its first text")).to_contain_text("tokens of the answers")
    page.get_by_role("button", name="line 3, show all of it").click()
    details = page.locator("tr.more")
    expect(details).to_contain_text("nearest coffee shop")
    expect(details).to_contain_text("counted by the service")


@pytest.mark.slow
def test_the_grid_shows_the_worst_first_sorts_filters_and_opens_a_line(runs: dict[str, Path], page: Page) -> None:
    assert opened(page, runs["thousand"]) == []
    first = shown_lines(page)
    assert len(first) == 200
    assert all(line % 10 == 7 for line in first[:100])  # failed
    page.get_by_role("button", name="Show 200 more of 800").click()
    assert len(shown_lines(page)) == 400
    page.get_by_role("button", name="line", exact=True).click()
    assert shown_lines(page)[:3] == [1, 2, 3]
    page.get_by_role("button", name="line", exact=True).click()
    assert shown_lines(page)[:3] == [1000, 999, 998]
    expect(page.get_by_role("columnheader", name="line")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="line 998, show all of it").click()
    expect(page.locator("tr.more .dropped")).to_have_text("user (dropped, not sent): An old question.")
    expect(page.locator("tr.more")).to_contain_text("80 out, counted by the service. With its verdicts about $0.001.")
    page.get_by_label("Show", exact=True).select_option("with a missing score")
    expect(page.locator("#found")).to_have_text(re.compile(r"^1\d\d of 1,000 lines$"))
    assert page.locator("tr.line .none").count() == len(shown_lines(page))
    page.get_by_label("Show", exact=True).select_option("failed")
    page.get_by_label("Find").fill("Question 507:")
    assert shown_lines(page) == [507]
    page.get_by_role("button", name="line 507, show all of it").press("Enter")
    expect(page.locator("tr.more")).to_contain_text(ERROR)
    page.get_by_role("button", name="line 507, show all of it").press("Enter")
    expect(page.locator("tr.more")).to_have_count(0)


@pytest.mark.slow
def test_a_thousand_lines_can_be_used_soon_after_they_are_opened(runs: dict[str, Path], page: Page) -> None:
    opened(page, runs["thousand"])
    assert page.evaluate("Number(document.body.dataset.ready)") < 5000  # some 150 ms where nothing else runs


@pytest.mark.slow
def test_beside_a_baseline_the_largest_change_comes_first(runs: dict[str, Path], page: Page) -> None:
    assert opened(page, runs["compared"]) == []
    changes = [
        max(abs(int(now) - int(before)) for before, now in pairs)
        for text in page.locator("tr.line").all_inner_texts()
        if (pairs := re.findall(r"(\d) → (\d)", text))
    ]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] > 1
    page.get_by_label("Show", exact=True).select_option("with a worse score")
    page.locator("tr.line button").first.click()
    expect(page.locator("tr.more")).to_contain_text("Answer before")
    assert "no difference" in page.locator(".means").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_runs_and_nothing_is_wider_than_a_phone(kind: str, runs: dict[str, Path], browser: Browser) -> None:
    with browser.new_page(viewport={"width": 390, "height": 800}) as page:
        assert opened(page, runs[kind]) == []
        for button in page.locator("tr.line button").all()[:2]:
            button.click()
        assert page.evaluate("window.ran") is None
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        if kind == "hostile":
            texts = page.locator("body").inner_text()
            assert texts.count(HOSTILE) >= 10
            assert page.locator("img:not(svg)").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_check_of_accessibility_finds_nothing(kind: str, runs: dict[str, Path], browser: Browser) -> None:
    with browser.new_page(bypass_csp=True) as page:  # the check puts its script into the page
        opened(page, runs[kind])
        if kind in ("thousand", "forty statements"):
            page.get_by_label("Find").fill("Question 12")  # all lines are alike, and the check takes its time
        page.locator("tr.line button").first.click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found: dict[str, Any] = Axe().run(page).response
            assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]] == []
            assert len(found["passes"]) > 10


@pytest.mark.slow
def test_passes_and_groups_are_shown_beside_a_baseline(runs: dict[str, Path], page: Page) -> None:
    assert opened(page, runs["passes"]) == []
    groups = page.get_by_role("region", name="the groups")
    expect(groups.get_by_role("row", name="geo")).to_have_count(3)  # two statements, and the weighted average
    expect(groups.get_by_role("row").last).to_contain_text("weighted average, 0 to 1")
    expect(page.get_by_role("img", name="mean 0.50 from 0 to 1").first).to_be_visible()
    cells = page.locator("tr.line td.score").all_inner_texts()
    assert {"pass → fail", "fail → pass"} <= set(cells)
    page.get_by_label("Show", exact=True).select_option("with a score below 4, or a fail")
    expect(page.locator("#found")).to_have_text("6 of 12 lines")
    page.get_by_label("Show", exact=True).select_option("with a better score")
    expect(page.locator("#found")).to_have_text("6 of 12 lines")
    page.get_by_role("button", name="topic").click()
    assert page.locator("tr.line").first.inner_text().split("\t")[3].strip() == "geo"
    page.locator("tr.line button").first.click()
    expect(page.locator("tr.more")).to_contain_text("Answer, from data")
    expect(page.locator("tr.more")).to_contain_text("topic: geo")


@pytest.mark.slow
def test_on_paper_there_are_no_controls_and_what_is_open_stays_open(runs: dict[str, Path], page: Page) -> None:
    opened(page, runs["compared"])
    page.locator("tr.line button").first.click()
    page.emulate_media(media="print")
    expect(page.locator("form")).to_be_hidden()
    expect(page.locator("tr.more")).to_be_visible()
    pages = page.pdf(format="A4").count(b"/Type /Page\n")
    assert 1 < pages < 12
