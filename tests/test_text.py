"""Texts that can be shown and written anywhere, and files that are written whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.base.files import make_folder, told, write_whole
from flowkit.base.printing import speak_plainly
from flowkit.base.text import clean, in_one_line, is_nothing, joined_pairs, shown, visible

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude00\x1b\x07\x9b[]0;\r\n\u202e"))  # halves too
ACTING = [chr(code) for code in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))]


@given(ANY_TEXT)
def test_a_clean_text_is_text_for_utf_8_and_loses_nothing_else(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.encode().decode() == cleaned == clean(cleaned)
    assert cleaned == re.sub(r"[\ud800-\udfff]", "\ufffd", joined_pairs(text))
    assert joined_pairs(text).encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\ud83d\ude00", "\U0001f600"),
        ("a\ud83d", "a\ufffd"),
        ("\ud83d\ud83d\ude00b", "\ufffd\U0001f600b"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ufeffa\U0001f600", "\ufeffa\U0001f600"),
    ],
    ids=ascii,
)
def test_halves_are_joined_or_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(ANY_TEXT, ANY_TEXT)
def test_a_text_in_pieces_is_as_visible_as_the_whole(one: str, other: str) -> None:
    assert visible(one) + visible(other) == visible(one + other)


@given(ANY_TEXT)
def test_nothing_visible_acts_on_a_terminal(text: str) -> None:
    for result in (visible(text, kept=""), in_one_line(text, 40), shown(text), shown([text])):
        assert not set(result) & set(ACTING)
        assert result.encode().decode() == result


def test_line_breaks_and_tabs_are_kept_and_escapes_are_written_out() -> None:
    assert (
        visible("a\n\tb\x1b[31m\x07\x9b\r\u202e\u2028\ud83d")
        == r"a" + "\n\t" + r"b\x1b[31m\x07\x9b\r\u202e\u2028\ud83d"
    )
    assert visible("Grüße, \u05e9\u05dc\u05d5\u05dd \U0001f600") == "Grüße, \u05e9\u05dc\u05d5\u05dd \U0001f600"
    assert in_one_line(" a \n\t b\x1b]0;x\x07 ", 40) == r"a b\x1b]0;x\x07"


@given(st.text(), st.integers(1, 30))
def test_one_line_is_the_start_of_the_words(text: str, limit: int) -> None:
    words = visible(" ".join(text.split()), kept="")
    assert in_one_line(text, limit) == (words if len(words) <= limit else words[:limit] + "...")


def test_a_value_that_has_no_end_is_shown_all_the_same() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    assert shown(deep) == "a list that is too large to show"
    assert shown(10**5000) == "a int that is too large to show"


@pytest.mark.parametrize("value", [0, False, [], {}, "0", "na", "nothing", "null and void", b"", 1.5])
def test_what_is_something_is_not_nothing(value: Any) -> None:
    assert not is_nothing(value)


SPEAK = """
import sys
from flowkit.base.printing import speak_plainly
speak_plainly(); speak_plainly()
print("caf\\u00e9 \\U0001f600 \\ud83d")
print("\\u00e9 \\U0001f600 \\ud83d", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("encoding", "out"),
    [("ascii", b"caf? ? ?"), ("cp1252", b"caf\xe9 ? ?"), ("utf-8", "café \U0001f600 ?".encode())],
)
def test_printing_never_fails_on_a_character(encoding: str, out: bytes) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    run = subprocess.run([sys.executable, "-c", SPEAK], capture_output=True, env=environment, check=True)
    assert run.stdout.strip() == out


def test_a_stream_that_is_not_pythons_own_or_is_closed_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    closed.close()
    for stream in (io.StringIO(), None, closed):
        monkeypatch.setattr(sys, "stdout", stream)
        speak_plainly()
        assert sys.stdout is stream


# --- Files


def test_a_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    for content, written in (("é\ud83d", "é\ufffd".encode()), (b"\xff", b"\xff")):
        write_whole(tmp_path / "a" / "b" / "file.json", content)
        assert (tmp_path / "a" / "b" / "file.json").read_bytes() == written
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file.json"]


FILL = """
import resource, signal, sys
from pathlib import Path
from flowkit.base.files import told, write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    print(told(error))
"""


def test_a_file_that_does_not_fit_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("old")
    command = [sys.executable, "-c", FILL, str(tmp_path / "file.json")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == f"{tmp_path / 'file.json'}: {os.strerror(errno.EFBIG)}\n"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_stands_in_the_way_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path, culprit, code in (
        ("folder", "folder", errno.EISDIR),
        ("file/x", "file", errno.ENOTDIR),
        ("file/x/y", "file/x", errno.ENOTDIR),
        ("link/x", "link", errno.ENOENT),
        ("link/x/y", "link", errno.ENOENT),
    ):
        with pytest.raises(OSError, match=os.strerror(code)) as raised:
            write_whole(tmp_path / path, b"x")
        assert told(raised.value) == f"{tmp_path / culprit}: {os.strerror(code)}"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "link"]
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file")


def test_many_at_once_write_one_file_and_one_of_them_wins(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(tmp_path / "file", content), contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_is_told_in_one_line() -> None:
    assert told(OSError(errno.ENOSPC, "No space left on device", "out/x")) == "out/x: No space left on device"
    assert told(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert told(OSError()) == "OSError"
