"""The README's picture of the report: `python -m tests.screenshot` takes it anew, of the tutorial's run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import batch
from tests.browser import launched

PROJECT = Path(__file__).absolute().parent.parent
PICTURE = PROJECT / "images" / "report.png"


def main() -> None:
    """Run the tutorial, open its report and its second line, and keep what is to be seen."""
    with tempfile.TemporaryDirectory() as out:
        batch.main(["--data", str(PROJECT / "data.jsonl"), "--out", out, "--quiet"])
        with launched() as browser:
            page = browser.new_page(viewport={"width": 1200, "height": 800})
            page.goto((Path(out) / "report.html").as_uri())
            page.get_by_role("button", name="line 2, show all of it").click()
            page.screenshot(path=PICTURE, full_page=True)


if __name__ == "__main__":
    main()
