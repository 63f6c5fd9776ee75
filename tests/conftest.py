"""Every test starts without a configured model, in an empty home, with promptflow kept to this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from tests.browser import browser, page  # noqa: F401 - fixtures
from tests.chat_server import ChatServer, chat_server

PROJECT = Path(__file__).absolute().parent.parent
CONFIGURED = ("OPENAI_", "AZURE_OPENAI_", "JUDGE_MODEL", "MODEL_", "PF_")
PROMPTFLOW = find_spec("promptflow")


def new_home(home: Path) -> dict[str, str]:
    """Make a home and return the variables that lead there; promptflow in it reports nothing and starts no service."""
    settings = home / ".promptflow"
    settings.mkdir(parents=True)
    (settings / "pf.yaml").write_text("telemetry:\n  enabled: false\ntrace:\n  destination: none\n")
    (settings / "pf_version_check.json").write_text('{"last_check_time": "2999-01-01 00:00:00.000000"}')
    offline = {"APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true"}  # promptflow asks for settings even so
    small = {"PF_WORKER_COUNT": "1"}  # one worker process for three lines: each takes seconds to start
    return {"HOME": str(home), "PF_HOME_DIRECTORY": str(settings), **offline, **small}


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before anything imports promptflow, which reads it then."""
    if PROMPTFLOW:  # it defines its schemas the old way
        config.addinivalue_line("filterwarnings", "ignore::marshmallow.warnings.RemovedInMarshmallow4Warning")
    for name, texts in {"quick": 20, "usual": 50}.items():  # for make check, for make test
        hypothesis.settings.register_profile(name, deadline=None, max_examples=texts)  # a machine may be busy
    hypothesis.settings.load_profile(config.getoption("--hypothesis-profile") or "usual")
    for name in [name for name in os.environ if name.startswith(CONFIGURED)]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="flow-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))  # by its name: $HOME may be a person's
    os.environ.update(new_home(home))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs promptflow where it is not installed."""
    for item in items:
        if not PROMPTFLOW and item.get_closest_marker("promptflow"):
            item.add_marker(pytest.mark.skip(reason="needs promptflow: pip install -r requirements.txt"))


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """Return a running server that does as told."""
    with chat_server() as running:
        yield running
