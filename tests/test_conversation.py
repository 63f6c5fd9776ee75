"""`python flow.py` at a terminal: a conversation, told apart from a program whose input is no terminal."""

from __future__ import annotations

import io
import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow import ChatFlow
from flowkit.data.lines import read_lines
from flowkit.run.conversation import HELP, Conversation
from tests import programs
from tests.chat_server import Answer, ChatServer, Status
from tests.conftest import new_home
from tests.test_own_inputs import with_tone

PROJECT = Path(__file__).absolute().parent.parent
KEY = "sk-never-shown-1234"


class Terminal:
    """The other end of a program's terminal: what a person types, and what is on the screen."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._screen = descriptor, ""
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                shown = os.read(self._descriptor, 65536)
            except OSError:  # the program has ended
                shown = b""
            with self._more:
                self._screen += shown.decode(errors="replace")
                self._more.notify_all()
            if not shown:
                return

    def type(self, keys: str) -> None:
        os.write(self._descriptor, keys.encode())

    def wait_for(self, text: str, again: str = "") -> str:
        """Return what was shown since the last wait, up to and with `text`. again: is typed each second until then."""
        with self._more:
            for _ in range(60):
                if self._more.wait_for(lambda: text in self._screen, 1):
                    break
                self.type(again)
            assert text in self._screen, f"no {text!r} in {self._screen!r}"
            before, _, self._screen = self._screen.partition(text)
        return before + text


@contextmanager
def at_terminal(
    folder: Path, server: ChatServer, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    """Start flow.py at a terminal of its own: whoever leads a session and opens one, controls it."""
    ours, theirs = pty.openpty()
    program = [sys.executable, str(PROJECT / "flow.py"), *arguments]
    environment = {**os.environ, **new_home(folder / "home"), "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": KEY}
    running = subprocess.Popen(
        ["sh", "-c", f'exec {shlex.join(program)} <"$0" >"$0" 2>&1', os.ttyname(theirs)],
        cwd=folder,
        env={**environment, "TERM": "dumb"},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )
    try:
        yield running, Terminal(ours)
    finally:
        running.kill()
        running.wait()
        os.close(theirs)  # the reader sees the end
        os.close(ours)


@pytest.mark.slow
@pytest.mark.long
def test_at_a_terminal_it_is_a_conversation_that_ctrl_c_does_not_end(server: ChatServer, tmp_path: Path) -> None:
    server.script = [Answer(deltas=["One", " thing."]), Answer(deltas=["A long", " answer"], stall_after=1), Answer()]
    with at_terminal(tmp_path, server) as (program, terminal):
        terminal.wait_for(HELP)
        terminal.wait_for("> ")
        terminal.type("First?\n")
        terminal.wait_for("One thing.")
        terminal.wait_for("> ")
        terminal.type("Second?\n")
        terminal.wait_for("A long")
        terminal.type("\x03")
        terminal.wait_for("> ")
        terminal.type("\x03")  # at the question it ends nothing
        terminal.wait_for(HELP, again="\x03")  # the prompt is shown a moment before readline listens to signals
        terminal.type("Third?\n")
        terminal.wait_for("Hello there.")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert program.wait(timeout=60) == 0
    assert server.requests[-1].messages[1:] == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "One thing."},
        {"role": "user", "content": "Second?"},
        {"role": "assistant", "content": "A long"},
        {"role": "user", "content": "Third?"},
    ]
    programs.until(lambda: server.requests[1].left_s is not None, lambda: "the second answer is still read")


@pytest.mark.slow
def test_with_a_question_it_answers_and_ends_at_a_terminal_too(server: ChatServer, tmp_path: Path) -> None:
    with at_terminal(tmp_path, server, "What", "is it?") as (program, terminal):
        terminal.wait_for("Hello there.")
        assert program.wait(timeout=60) == 0
    assert server.requests[0].messages[-1]["content"] == "What is it?"


# --- What is typed, without a terminal


def talk(server: ChatServer, typed: str, monkeypatch: pytest.MonkeyPatch, budget: int = 1100) -> Conversation:
    """Have a conversation in this process, of lines that are typed ahead."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    chat_flow = ChatFlow({"model": "gpt-4o", "base_url": server.base_url, "api_key": KEY, "max_retries": 0}, budget)
    conversation = Conversation(chat_flow)
    conversation.go_on()
    return conversation


def test_a_saved_conversation_is_a_line_of_data(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my data.jsonl"
    file.write_text('{"question": "There before?"}')  # without an end of its line
    talk(server, f"/save {file}\nFirst?\n/save {file}\n\nSecond?\n/save {file}\n/save\n/quit\nThird?\n", monkeypatch)
    before, first, second = read_lines(file)
    assert (before.question, first.question, second.question) == ("There before?", "First?", "Second?")
    assert first.chat_history == []
    assert second.chat_history == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "Hello there."},
    ]
    said = capsys.readouterr().out
    assert "nothing is asked yet" in said
    assert "my data.jsonl: one line more, the question 'Second?'" in said
    assert "write the file's name: /save data.jsonl" in said
    assert len(server.requests) == 2


def test_an_error_is_told_and_the_conversation_goes_on(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = [Status(400, "not \x1b[2J today"), Answer(deltas=["Half"], cut_after=1)]
    talked = talk(server, f"First?\nSecond?\nThird?\n/save {tmp_path}\n", monkeypatch)
    said = capsys.readouterr().out
    assert "not \\x1b[2J today" in said
    assert "cannot be written: Is a directory" in said
    assert [message["content"] for message in talked.messages] == ["Second?", "Half", "Third?", "Hello there."]


def test_the_history_is_kept_within_the_budget_and_that_is_said(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.usual = Answer(deltas=["word " * 40])
    talked = talk(server, "First?\nSecond?\nThird?\n", monkeypatch)
    assert len(talked.messages) == 6
    assert "(the 2 oldest messages did not fit the budget)" in capsys.readouterr().out
    assert [message["content"] for message in server.requests[-1].messages[1::2]] == ["Second?", "Third?"]


def test_a_prompt_with_an_input_that_nobody_fills_is_refused(server: ChatServer, tmp_path: Path) -> None:
    flow = ChatFlow({"model": "m", "base_url": server.base_url}, prompt=str(with_tone(tmp_path)))
    with pytest.raises(ValueError, match=r"mine\.prompty: nothing fills the input 'tone'"):
        Conversation(flow)
