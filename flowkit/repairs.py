"""Guarded repairs of promptflow 1.18.5, made as soon as the part concerned is imported, and not before.

A repair replaces a method only where that is, to the letter, the one it was written for; else it leaves promptflow
alone and logs a warning. Without the first two, one streamed line that fails ends the whole run with `cannot pickle
'async_generator' object`, and its own error is lost: https://github.com/microsoft/promptflow/issues/3413.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import wrapt

log = logging.getLogger(__name__)


_originals: dict[str, Any] = {}


def replace(owner: type, method: str, repair: Callable[..., Any], written_for: str) -> None:
    """Put `repair` in the place of a method, if the SHA-256 of that method's source begins as expected."""
    original = getattr(owner, method, None)
    if original is repair:
        return
    found = hashlib.sha256(inspect.getsource(original).encode()).hexdigest()[:16] if original else "missing"
    if found != written_for:
        log.warning("promptflow's %s.%s is not the one we know (%s): left alone", owner.__name__, method, found)
        return
    _originals[method] = original
    setattr(owner, method, repair)


async def _join_streams(self: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """Join what streams. The original waits with `asyncio.wait`, which keeps an error to itself."""
    for name, output in outputs.items():
        if isinstance(output, AsyncIterator):
            outputs[name] = "".join([str(item) async for item in output])
        elif isinstance(output, Iterator):
            outputs[name] = await asyncio.to_thread(lambda items: "".join(map(str, items)), output)
    return outputs


def _line_result(self: Any, output: Any, run_info: Any) -> Any:
    """Return a failed line without its output: that is the broken stream, which no process can hand to another."""
    failed = run_info.status.value == "Failed"
    return _originals["_construct_line_result"](self, None if failed else output, run_info)


def _make_handler(self: Any, custom_dimensions: Any, enable_telemetry: bool) -> None:
    """Build no exporter where telemetry is off: it would ask its maker's server for settings, and go on asking."""
    if enable_telemetry:
        _originals["__init__"](self, custom_dimensions, enable_telemetry)
    else:
        opentelemetrys_handler: Any = type(self).__mro__[1]
        opentelemetrys_handler.__init__(self)  # which reports to nobody
        self._is_telemetry_enabled = False


@wrapt.when_imported("promptflow.executor._script_executor")
def _repair_engines(module: ModuleType) -> None:
    """Both: worker processes and one event loop."""
    replace(module.FlowExecutor, "_stringify_generator_output_async", _join_streams, "a1a057476cbf0fa0")
    replace(module.ScriptExecutor, "_construct_line_result", _line_result, "3a98b0af968c7bf3")


@wrapt.when_imported("promptflow._sdk._telemetry.logging_handler")
def _repair_telemetry(module: ModuleType) -> None:
    replace(module.PromptFlowSDKLogHandler, "__init__", _make_handler, "710e7e8eb919f830")


def stay_on_this_machine() -> None:
    """Report nothing and start no background service in this process, unless the person's own settings say so.

    promptflow reads its settings from the home and from the working directory upwards, and takes them no other way.
    """
    configuration = importlib.import_module("promptflow._sdk._configuration").Configuration.get_instance()
    settings: dict[str, Any] = configuration.get_all()
    settings.setdefault("telemetry", {}).setdefault("enabled", False)
    settings.setdefault("trace", {}).setdefault("destination", "none")


def run_and_line() -> dict[str, Any]:
    """Return what promptflow wants on every span of a run, to find it by: the run's name, the line and so on."""
    module = sys.modules.get("promptflow.tracing._operation_context")  # without it, there is no run
    noted = module.OperationContext.get_instance().get("_otel_attributes", {}) if module else {}
    return {name: value for name, value in noted.items() if value is not None}
