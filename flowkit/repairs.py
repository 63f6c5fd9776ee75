"""Guarded repairs of promptflow 1.18.5, made as soon as the part concerned is imported, and not before.

A repair replaces a method only where that is, to the letter, the one it was written for; else it leaves promptflow
alone and logs a warning. Without the first two, one streamed line that fails ends the whole run with `cannot pickle
'async_generator' object`, and its own error is lost: https://github.com/microsoft/promptflow/issues/3413.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import wrapt

log = logging.getLogger(__name__)


async def _stringify_generator_output_async(self: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """Join what streams. The original waits with `asyncio.wait`, which keeps an error to itself."""
    for name, output in outputs.items():
        if isinstance(output, AsyncIterator):
            outputs[name] = "".join([str(item) async for item in output])
        elif isinstance(output, Iterator):
            outputs[name] = await asyncio.to_thread(lambda items: "".join(map(str, items)), output)
    return outputs


def _construct_line_result(self: Any, output: Any, run_info: Any) -> Any:
    """Return a failed line without its output: that is the broken stream, which no process can hand to another."""
    failed = run_info.status.value == "Failed"
    return _originals["_construct_line_result"](self, None if failed else output, run_info)


def __init__(self: Any, custom_dimensions: Any, enable_telemetry: bool) -> None:
    """Build no exporter where telemetry is off: it would ask a server of its maker's for settings, and go on asking."""
    if enable_telemetry:
        _originals["__init__"](self, custom_dimensions, enable_telemetry)
    else:
        logging.Handler.__init__(self)
        self._is_telemetry_enabled = False


def replace(owner: type, repair: Callable[..., Any], written_for: str) -> None:
    """Put `repair` in the place of the method of its name, if the SHA-256 of that one's source begins as expected."""
    original = getattr(owner, repair.__name__, None)
    if original is repair:
        return
    found = hashlib.sha256(inspect.getsource(original).encode()).hexdigest()[:16] if original else "missing"
    if found != written_for:
        name = f"{owner.__name__}.{repair.__name__}"
        log.warning("promptflow's %s is not the one we know (%s): left as it is; streamed lines may fail", name, found)
        return
    _originals[repair.__name__] = original
    setattr(owner, repair.__name__, repair)


_originals: dict[str, Any] = {}


@wrapt.when_imported("promptflow.executor._script_executor")
def _repair_engines(module: ModuleType) -> None:
    """Both: worker processes and one event loop."""
    replace(module.ScriptExecutor.__mro__[1], _stringify_generator_output_async, "a1a057476cbf0fa0")
    replace(module.ScriptExecutor, _construct_line_result, "3a98b0af968c7bf3")


@wrapt.when_imported("promptflow._sdk._telemetry.logging_handler")
def _repair_telemetry(module: ModuleType) -> None:
    replace(module.PromptFlowSDKLogHandler, __init__, "710e7e8eb919f830")
