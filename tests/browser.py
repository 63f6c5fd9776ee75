"""A browser for the tests that look at pages: Debian's Chromium, headless."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = [
    "--no-sandbox",  # Chromium has none for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",  # promptflow's pages want fonts from their maker
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run the browser, installed first where that is possible. Meanwhile this thread can run no event loop."""
    # Several test processes may want it at the same time, and apt-get bears only one.
    with (Path(tempfile.gettempdir()) / "flow-tests-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not CHROMIUM.exists():
            _install()
    with launched() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return an empty page, with nothing remembered of others."""
    with browser.new_page() as opened:
        yield opened


@contextmanager
def launched() -> Iterator[Browser]:
    """Run the browser for as long as the block takes."""
    from playwright.sync_api import sync_playwright  # slow to import, and most tests need no browser

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield running
        running.close()


def _install() -> None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        pytest.skip(f"needs {CHROMIUM}, and only root on Debian could install it here")
    install = "apt-get update && apt-get install --yes --no-install-recommends chromium"
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(install, shell=True, env=quietly, capture_output=True, text=True)
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}, and apt-get could not install it: {(done.stdout + done.stderr)[-500:]}")
