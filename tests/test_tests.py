"""The tests leave the person who runs them as they were, even where they cannot begin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_tests_that_cannot_begin_leave_the_home_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "--collect-only", __file__]
    done = subprocess.run(command, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert "--hypothesis-profile" in done.stderr  # the option is missing, so they did not begin
    assert (tmp_path / "mine").exists()
