"""promptflow's background service, which records traces and shows its trace page: where asked for, and no longer."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    import psutil

Settings = dict[str, Any]  # promptflow's, of which we touch two
PROJECT = Path(__file__).absolute().parents[2]
_watched: list[subprocess.Popen[bytes]] = []  # the process that stops the service when this one has ended


def settings_of(module: ModuleType) -> Settings:
    """Return promptflow's settings, which it reads from the home and from the working directory upwards.

    module: `promptflow._sdk._configuration`. What is changed in them holds for this process and its forks.
    """
    settings: Settings = module.Configuration.get_instance().get_all()
    return settings


def keep_traces() -> None:
    """Have promptflow record what this process does from here on, as its trace page and `pf.visualize` show it.

    A setting of the person's own that sends traces elsewhere, to the cloud for instance, is respected. promptflow
    starts its service with the first trace; one that was not there before is stopped when this process has ended.
    """
    kept = _trace_settings()
    if kept["destination"] == "none":
        kept["destination"] = "local"
    if running_service() is None and not _watched:
        # Another process, since a notebook's kernel is often killed before it comes to its `atexit`.
        watch = [sys.executable, "-c", f"import {__name__} as service; service.stop_after({os.getpid()})"]
        _watched.append(subprocess.Popen(watch, cwd=PROJECT, start_new_session=True))


def records_traces() -> bool:
    """Say whether promptflow's service gets what this process records."""
    return bool(getattr(trace.get_tracer_provider(), "_pfs_exporter_set", False))


@contextmanager
def without_new_service() -> Iterator[None]:
    """Start no service unless the person's own settings ask for it, and stop it if it was not there before."""
    may_start = _trace_settings()["destination"] != "none"
    was_there = may_start and running_service() is not None
    try:
        yield
    finally:
        if may_start and not was_there:
            stop_service()


def stop_service() -> None:
    """Stop the service of this home once it has all that was recorded here. Without one, do nothing.

    promptflow's `pf service stop` needs lsof, which a plain Debian lacks.
    """
    if service := running_service():
        getattr(trace.get_tracer_provider(), "force_flush", bool)()  # the last spans have to get there
        with suppress(_psutil().NoSuchProcess):
            service.terminate()
            service.wait(10)


def stop_after(process_id: int) -> None:
    """Wait for the end of that process, and stop the service then."""
    with suppress(_psutil().NoSuchProcess):
        _psutil().Process(process_id).wait()
    stop_service()


def running_service() -> psutil.Process | None:
    """Return the process that listens on the port of this home's service."""
    utilities = importlib.import_module("promptflow._sdk._service.utils.utils")
    port = utilities.get_port_from_config(utilities.get_pfs_host())
    for connection in _psutil().net_connections("tcp") if port else ():
        address = getattr(connection.laddr, "port", None), connection.status
        if address == (int(port), _psutil().CONN_LISTEN) and connection.pid:
            process: psutil.Process = _psutil().Process(connection.pid)
            return process
    return None


def _trace_settings() -> Settings:
    settings = settings_of(importlib.import_module("promptflow._sdk._configuration"))
    kept: Settings = settings.setdefault("trace", {})
    kept.setdefault("destination", "none")
    return kept


def _psutil() -> Any:
    return importlib.import_module("psutil")  # not at the top: every program that imports a flow imports this module
