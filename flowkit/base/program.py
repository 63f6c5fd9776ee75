"""What a program says of an error that a person can mend: one line, an honest exit code, no traceback."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from flowkit.base.printing import speak_plainly
from flowkit.base.text import clean, in_one_line

SHOWN = 2_000  # characters of an error
WELL, FAILED, BAD_CONFIGURATION, INTERRUPTED = 0, 1, 2, 130


def exit_code_of(main: Callable[[], int | None], name: str) -> int:
    """Run `main` and return its exit code, or 1: the request failed; 2: a bad configuration; 130: interrupted.

    name: of the program, in front of the line. A fault of ours is raised, with its traceback.
    """
    open_output()
    speak_plainly()
    end_quickly()
    try:
        code = main() or WELL
        sys.stdout.flush()  # here, where a reader that has left is no error
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        stop_printing()
        return WELL
    except Exception as error:
        if isinstance(error, OSError) or _is_of_openai(error):
            return _say(name, _cause(error), FAILED)
        if isinstance(error, ValueError):
            return _say(name, str(error), BAD_CONFIGURATION)
        raise


def open_output() -> None:
    """Let what is printed be lost, and no error, where the output was closed before we began.

    So too with what is told beside it, on stderr, whatever becomes of that on the way: a run is worth more.
    """
    if not sys.stdout:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it stays open to the end
    if not sys.stderr:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    elif type(sys.stderr) is io.TextIOWrapper:  # and nobody else's, such as a notebook's
        sys.stderr = _Beside(sys.stderr)


class _Beside(io.TextIOWrapper):
    """What stands beside the output: lost from where it cannot be written, because a disk is full or nobody reads."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(stream.buffer, stream.encoding, stream.errors, line_buffering=stream.line_buffering)
        self.replaced = stream  # it would close the buffer when nobody has it any more

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return self._lose(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            self._lose("")

    def _lose(self, text: str) -> int:
        _drop(self)
        return len(text)


def end_quickly() -> None:
    """Spare Python, at its end, one more search for cycles in all that was imported: 0.3 s, with promptflow 0.8 s."""
    atexit.register(gc.freeze)


def stop_printing() -> None:
    """Drop what is still to be printed: whoever read has seen enough, and Python would complain at its end."""
    _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    """Let all that is written from now on be lost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_of_openai(error: Exception) -> bool:
    """Say whether it is, without importing openai: 0.5 s, which a program that asks no model need not wait for."""
    return "openai" in sys.modules and isinstance(error, sys.modules["openai"].OpenAIError)


def _cause(error: Exception) -> str:
    if not _is_of_openai(error):
        return str(error)
    import httpx2
    import openai

    unreachable = isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout))
    if isinstance(error, openai.APIConnectionError) and unreachable:
        return f"cannot connect to {_host(error.request.url)}: is it running? ({error})"
    return str(error)


def _host(url: Any) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _say(name: str, text: str, code: int) -> int:
    print(f"{name}: {in_one_line(clean(text), SHOWN)}", file=sys.stderr)
    return code
