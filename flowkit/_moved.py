"""Where the modules of the flat layout went: `flowkit.lines` still imports, and says what to write instead."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "budget": "prompt.budget",
    "calibration": "scores.calibration",
    "client": "model.client",
    "comparison": "scores.comparison",
    "completion": "model.completion",
    "connections": "bridge.connections",
    "frames": "report.notebook",
    "gate": "scores.gate",
    "history": "prompt.history",
    "journal": "run.journal",
    "lines": "data.lines",
    "lint": "data.lint",
    "metrics": "scores.metrics",
    "pace": "model.pace",
    "places": "data.storage",
    "prompty": "prompt.prompty",
    "refusals": "model.refusals",
    "repairs": "bridge.repairs",
    "rows": "data.rows",
    "statements": "data.statements",
    "sums": "scores.sums",
    "terminal": "report.terminal",
    "timing": "model.timing",
    "tokens": "prompt.tokens",
    "tracing": "base.tracing",
    "verdict": "judge.reading",
}


class _Finder(MetaPathFinder, Loader):
    """Finds `flowkit.<name>` for the names in MOVED."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, module = name.partition(".")
        return ModuleSpec(name, self) if package == "flowkit" and module in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        address = f"flowkit.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(f"{spec.name} has moved to {address}", DeprecationWarning, stacklevel=2)
        return importlib.import_module(address)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has been executed at its new address."""


def find_moved_modules() -> None:
    """Let Python find the moved modules, once per process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
