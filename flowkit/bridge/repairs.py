"""Guarded repairs of promptflow 1.18.5, made as soon as the part concerned is imported, and not before.

A repair replaces a method only where that is, to the letter, the one it was written for; else it leaves promptflow
alone and logs a warning. Without the first two, one streamed line that fails ends the whole run with `cannot pickle
'async_generator' object`, and its own error is lost: https://github.com/microsoft/promptflow/issues/3413.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import wrapt

from flowkit.base import tracing
from flowkit.bridge import serving  # noqa: F401 - repairs of the server, made likewise
from flowkit.bridge.replacement import originals, replace
from flowkit.bridge.service import settings_of

log = logging.getLogger(__name__)
# promptflow's own switch: else a run of a flow object overwrites `flow.flex.yaml` in the working directory for as long
# as it takes, and copies that directory into its snapshot.
os.environ.setdefault("PF_FLOW_ENTRY_IN_TMP", "true")
# The exporter's own switch: else it asks its maker's server for settings, whether anything is reported or not.
os.environ.setdefault("APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED", "true")


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
    return originals["ScriptExecutor._construct_line_result"](self, None if failed else output, run_info)


def _wrap_stream(self: Any, prev_stdout: Any, *more: Any, **named: Any) -> None:
    """Wrap the real stream. Lines on one loop wrap each other's wrappers; after a thousand, `print` fails for depth."""
    while isinstance(prev_stdout, type(self)):
        prev_stdout = prev_stdout._prev_out
    originals["NodeLogWriter.__init__"](self, prev_stdout, *more, **named)


def _unwrap_streams(self: Any, *_: object) -> None:
    """Give the real streams back; what they were when this line began may be a wrapper of a line that is done."""
    sys.stdout, sys.stderr = self.stdout_logger._prev_out, self.stderr_logger._prev_out


def _make_handler(self: Any, custom_dimensions: Any, enable_telemetry: bool) -> None:
    """Build no exporter where telemetry is off: it would ask its maker's server for settings, and go on asking."""
    if enable_telemetry:
        originals["PromptFlowSDKLogHandler.__init__"](self, custom_dimensions, enable_telemetry)
    else:
        opentelemetrys_handler: Any = type(self).__mro__[1]
        opentelemetrys_handler.__init__(self)  # which reports to nobody
        self._is_telemetry_enabled = False


def _sum_up(self: Any, inputs: Any) -> Any:
    """Report an `__aggregate__` that fails as the run's error. The original leaves a warning and empty metrics."""
    module = importlib.import_module("promptflow.executor._script_executor")
    try:
        figures = self._aggr_func(**{self._aggr_input_name: inputs})
        if not isinstance(figures, dict):
            raise TypeError(f"__aggregate__ must return a dict of numbers, got {type(figures).__name__}")
    except Exception as error:
        details = module.ExceptionPresenter.create(error).to_dict(include_debug_info=True)
        status = importlib.import_module("promptflow.contracts.run_info").Status.Failed
        failed = SimpleNamespace(node="__aggregate__", status=status, error=details, system_metrics=None, api_calls=[])
        return module.AggregationResult(None, {}, {"__aggregate__": failed})
    for name, figure in figures.items():
        module.log_metric(name, figure)
    return module.AggregationResult(figures, figures, {})


def _merge_lines(self: Any, input_dict: Mapping[str, Any]) -> Any:
    """Say how many lines an evaluation leaves out because the run it is of failed on them; promptflow does not."""
    merged = originals["BatchInputsProcessor._merge_input_dicts_by_line"](self, input_dict)
    lines = max(map(len, input_dict.values()))
    if len(merged) < lines:
        log.warning("%d of %d lines are not evaluated: the run has no output for them", lines - len(merged), lines)
    return merged


def _take_snapshot(self: Any, flow: Any) -> None:
    """Leave out what cannot be copied. The original hangs on a pipe, and loses the run's results to a broken link."""
    module = importlib.import_module("promptflow._sdk.operations._local_storage_operations")
    patterns = module.PromptflowIgnoreFile(prompt_flow_path=flow.code)._get_ignore_list()
    by_name = shutil.ignore_patterns(*patterns, self._run._output_path.parent.name)

    def unfit(folder: str, names: list[str]) -> set[str]:
        paths = {name: Path(folder) / name for name in names}
        return by_name(folder, names) | {name for name, path in paths.items() if not (path.is_file() or path.is_dir())}

    shutil.copytree(flow.code, self._snapshot_folder_path, ignore=unfit, dirs_exist_ok=True)
    if not self._is_prompty_flow:
        self._dag_path.unlink(missing_ok=True)
        shutil.copy(flow.path, self._dag_path)


def run_and_line() -> dict[str, Any]:
    """Return what promptflow wants on every span of a run, to find it by: the run's name, the line and so on."""
    module = sys.modules.get("promptflow.tracing._operation_context")  # without it, there is no run
    noted = module.OperationContext.get_instance().get("_otel_attributes", {}) if module else {}
    return {name: value for name, value in noted.items() if value is not None}


tracing.add_attributes(run_and_line)

# From here on: what is imported already is repaired at once, so all of the above has to be defined.


@wrapt.when_imported("promptflow.executor._script_executor")
def _repair_engines(module: ModuleType) -> None:
    """Both: worker processes and one event loop."""
    replace(module.FlowExecutor, "_stringify_generator_output_async", _join_streams, "a1a057476cbf0fa0")
    replace(module.ScriptExecutor, "_construct_line_result", _line_result, "3a98b0af968c7bf3")
    replace(module.ScriptExecutor, "_exec_aggregation", _sum_up, "406170efa53094b8")


@wrapt.when_imported("promptflow._core.log_manager")
def _repair_streams(module: ModuleType) -> None:
    replace(module.NodeLogWriter, "__init__", _wrap_stream, "83ab16988cfce20c")
    replace(module.NodeLogManager, "__exit__", _unwrap_streams, "6f0711c4bd7037df")


@wrapt.when_imported("promptflow.batch._batch_inputs_processor")
def _repair_inputs(module: ModuleType) -> None:
    replace(module.BatchInputsProcessor, "_merge_input_dicts_by_line", _merge_lines, "833ff485f6a60936")


@wrapt.when_imported("promptflow._sdk.operations._local_storage_operations")
def _repair_snapshots(module: ModuleType) -> None:
    replace(module.LocalStorageOperations, "dump_snapshot", _take_snapshot, "ac48640419d5f053")


@wrapt.when_imported("promptflow._sdk._telemetry.logging_handler")
def _repair_telemetry(module: ModuleType) -> None:
    replace(module.PromptFlowSDKLogHandler, "__init__", _make_handler, "710e7e8eb919f830")


@wrapt.when_imported("azure.monitor.opentelemetry.exporter._configuration._state")
def _look_nothing_up(module: ModuleType) -> None:
    """Stop the exporter's worker: `pf` has started it if it imports a flow late. It begins to ask after 5 seconds."""
    if manager := module._configuration_manager:
        manager.shutdown()


@wrapt.when_imported("promptflow._sdk._configuration")
def _report_nothing(module: ModuleType) -> None:
    """Keep telemetry off in this process, unless the person's own settings turn it on."""
    settings_of(module).setdefault("telemetry", {}).setdefault("enabled", False)
