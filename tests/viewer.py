"""Phoenix, a trace viewer, run on this machine from a virtual environment of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import programs

PYTHON = Path(sys.prefix) / "viewer" / "bin" / "python"
START_S = 300  # it makes a database of many tables first, on a busy machine for minutes
MISSING = f"needs Phoenix in {PYTHON.parent.parent}: make test-viewer"


@dataclass(frozen=True)
class Viewer:
    """A running viewer."""

    port: int

    @property
    def endpoint(self) -> str:
        """Where traces go."""
        return f"http://localhost:{self.port}"

    def spans(self) -> list[dict[str, Any]]:
        """Return all spans that it has."""
        found = programs.get_json(self.port, "/v1/projects/default/spans?limit=1000")
        return list(found["data"])

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Return all spans once there are so many; what came it stores a little later."""
        programs.until(lambda: len(self.spans()) >= count, lambda: f"{len(self.spans())} of {count} spans")
        return self.spans()

    def page_of(self, trace_id: str) -> str:
        """Return the address of the page that shows a trace."""
        ((project),) = programs.get_json(self.port, "/v1/projects")["data"]
        return f"{self.endpoint}/projects/{project['id']}/traces/{trace_id}"


@contextmanager
def phoenix(folder: Path) -> Iterator[Viewer]:
    """Run the viewer with an empty database in `folder`; without it, the test is skipped."""
    if not PYTHON.exists():
        pytest.skip(MISSING)
    viewer, home = Viewer(programs.free_port()), folder / "home"
    environment = programs.environment_of(home, PHOENIX_WORKING_DIR=str(home), PHOENIX_HOST="127.0.0.1")
    environment |= {"PHOENIX_PORT": str(viewer.port), "PHOENIX_GRPC_PORT": str(programs.free_port())}
    environment |= {"PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false"}
    command = [str(PYTHON), "-m", "phoenix.server.main", "serve"]
    with programs.running(
        command, folder, environment, lambda: programs.answers(viewer.port, "/v1/projects"), limit_s=START_S
    ):
        yield viewer
