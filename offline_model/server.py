"""Knows how the server lives: one daemon thread, one port, an orderly end."""

import asyncio
import atexit
import logging
import os
import socket
import threading

import uvicorn

from offline_model.api import create_app

BACKLOG = 2048  # connections that may wait to be accepted: a thousand clients may come at once
KEEP_ALIVE_S = 30  # longer than httpx (5 s) and aiohttp (15 s) keep idle connections, so that the client closes first


class LocalServer:
    """The offline model listening on `host`; port 0 takes a free one. It accepts connections when made.

    OSError: the address cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        config = uvicorn.Config(
            create_app(),
            lifespan="off",
            ws="none",
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
            backlog=BACKLOG,
        )
        config.load()  # here and not in the thread: its imports would stall the event loop
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server((host, port), backlog=BACKLOG)
        # Inherited by its connections: else head and body of an answer wait 40 ms for each other.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = "http://{}:{}/v1".format(*self._socket.getsockname())
        self._thread = threading.Thread(target=self._run, name="offline_model", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let running answers end, one second at most, then close every connection and the port."""
        self._server.should_exit = True
        self._thread.join(timeout=3)
        self._socket.close()

    def forget(self) -> None:
        """Close this process's copy of the port: after a fork the thread is the parent's."""
        self._socket.close()

    def _run(self) -> None:
        loggers = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access")]
        for logger in loggers:
            logger.addFilter(self._may_log)
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            for logger in loggers:
                logger.removeFilter(self._may_log)

    def _may_log(self, record: logging.LogRecord) -> bool:
        """Warnings only, and none on the way out. By thread, so that a uvicorn around us keeps its own log."""
        ours = record.thread == self._thread.ident
        return not ours or (record.levelno >= logging.WARNING and not self._server.should_exit)


_lock = threading.Lock()
_server: LocalServer | None = None


def start_once() -> str:
    """Return the base URL of this process's server; the first call starts it."""
    global _server
    with _lock:
        if _server is None:
            _server = LocalServer("127.0.0.1", 0)
        return _server.url


def _stop_at_exit() -> None:
    if _server is not None:
        _server.stop()


def _start_afresh_in_child() -> None:
    global _lock, _server
    _lock = threading.Lock()  # another thread of the parent may have held it
    if _server is not None:
        _server.forget()
        _server = None


atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_afresh_in_child)
