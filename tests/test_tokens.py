"""Token counts are tiktoken's, without a network, and no text can upset them."""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import time
import timeit
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.prompt.tokens import PIECE, count_tokens, load_vocabulary

PROJECT = Path(__file__).absolute().parent.parent
MODEL_OF = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}
MIXED = "Wie viele Wörter? 単語はいくつ? कितने शब्द? 12345 <|endoftext|>\r\n\t" * 3
PIECES = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|fim_prefix|>",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "'s",
    "É",
    "e\u0301",
    "中",
    "👩‍🚀",
]

VOCABULARIES = {
    "gpt-4o": "o200k_base",
    "gpt-4o-mini": "o200k_base",
    "gpt-4o-2024-11-20": "o200k_base",
    "gpt-4.1": "o200k_base",
    "gpt-4.1-nano": "o200k_base",
    "gpt-5": "o200k_base",
    "gpt-5-mini": "o200k_base",
    "o1": "o200k_base",
    "o1-preview": "o200k_base",
    "o3": "o200k_base",
    "o3-mini": "o200k_base",
    "o4-mini": "o200k_base",
    "ft:gpt-4o:my-org": "o200k_base",
    "gpt-4": "cl100k_base",
    "gpt-4-0613": "cl100k_base",
    "gpt-4-turbo": "cl100k_base",
    "gpt-3.5-turbo": "cl100k_base",
    "gpt-3.5-turbo-0125": "cl100k_base",
    "gpt-35-turbo": "cl100k_base",
    "ft:gpt-3.5-turbo:my-org": "cl100k_base",
    # unknown, or of vocabularies that do not come with the project
    "llama3.2": "o200k_base",
    "offline-demo": "o200k_base",
    "my-deployment": "o200k_base",
    "gpt-oss:20b": "o200k_base",
    "text-davinci-003": "o200k_base",
    "": "o200k_base",
}


def counted_by_tiktoken(text: str, vocabulary: str) -> int:
    load_vocabulary(MODEL_OF[vocabulary])  # now tiktoken has it, and needs no network
    return len(tiktoken.get_encoding(vocabulary).encode_ordinary(text))


@pytest.mark.parametrize(("model", "vocabulary"), VOCABULARIES.items())
def test_each_model_is_counted_with_its_own_vocabulary(model: str, vocabulary: str) -> None:
    assert counted_by_tiktoken(MIXED, "o200k_base") != counted_by_tiktoken(MIXED, "cl100k_base")
    assert count_tokens(MIXED, model) == counted_by_tiktoken(MIXED, vocabulary)


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", MODEL_OF)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=9), max_size=12).map("".join))
@settings(max_examples=80)
def test_every_text_has_as_many_tokens_as_tiktoken_finds(vocabulary: str, text: str) -> None:
    assert count_tokens(text, MODEL_OF[vocabulary]) == counted_by_tiktoken(text, vocabulary)


@pytest.mark.parametrize("model", MODEL_OF.values())
@pytest.mark.parametrize("special", ["<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|endofprompt|>"])
def test_a_special_token_in_a_text_is_ordinary_text(special: str, model: str) -> None:
    assert count_tokens(special, model) > 3
    assert count_tokens(f"a{special}b", model) > 5


@pytest.mark.parametrize("name", ["llama3.2", "offline-demo", "o200k-like"])
def test_an_unknown_model_is_noted_once_for_debugging(name: str, caplog: pytest.LogCaptureFixture) -> None:
    unknown = f"{name}:{secrets.token_hex(4)}"  # of which this process has not heard yet
    with caplog.at_level(logging.DEBUG, logger="flowkit.prompt.tokens"):
        count_tokens("Hello", unknown)
        count_tokens("Hello", unknown)
        count_tokens("Hello", "gpt-4o-mini")
    notes = [
        (record.levelname, record.getMessage()) for record in caplog.records if record.name == "flowkit.prompt.tokens"
    ]
    assert notes == [("DEBUG", f"tokens of the unknown model {unknown} are counted with o200k_base")]


# --- Long texts


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "model"), [(" ", "gpt-4o"), (" ", "gpt-4"), ("\t\u3000", "gpt-4")])
def test_a_million_blanks_can_be_counted(unit: str, model: str) -> None:
    text = unit * (1_000_000 // len(unit)) + "x"
    assert len(text) / 130 < count_tokens(text, model) <= len(text.encode())


@pytest.mark.slow
def test_a_cut_elsewhere_than_between_words_adds_a_token_at_the_most() -> None:
    text = "Before" + " " * (PIECE + 1000) + "after."  # tiktoken itself can take that much
    assert 0 <= count_tokens(text, "gpt-4o") - counted_by_tiktoken(text, "o200k_base") <= 1


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", MODEL_OF)
def test_a_long_text_that_is_cut_between_words_is_counted_to_the_token(vocabulary: str) -> None:
    text = MIXED * (3 * PIECE // len(MIXED) + 1) + " " * 999 + "\n"
    assert count_tokens(text, MODEL_OF[vocabulary]) == counted_by_tiktoken(text, vocabulary)


@pytest.mark.slow
def test_counting_a_long_text_takes_less_memory_than_the_text() -> None:
    text = "word " * (10 * PIECE // 5)
    load_vocabulary("gpt-4o")
    tracemalloc.start()
    try:
        count_tokens(text, "gpt-4o")
        assert tracemalloc.get_traced_memory()[1] < len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("unit", [" ", "\n", "a", " \n", "<|endoftext|>"])
def test_time_grows_with_the_length_of_a_text_and_no_faster(unit: str) -> None:
    def seconds(length: int) -> float:
        text = f"Hi{unit * (length // len(unit))}there"
        return min(timeit.repeat(lambda: count_tokens(text, "gpt-4o"), timer=time.process_time, number=1, repeat=2))

    before = seconds(100)
    for length in (400, 1_600, 6_400, 25_600, 102_400):
        now = seconds(length)
        assert now < 10 * before + 0.05  # four times as long; squared that would be sixteen
        before = now


# --- In a process of its own, without a network

OFFLINE = """
import json, os, socket, sys
from concurrent.futures import ThreadPoolExecutor

def connect(*_):
    raise OSError("there is no network")

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = socket.create_connection = connect
sys.path.insert(0, sys.argv[1])
from flowkit.prompt.tokens import count_tokens

before = dict(os.environ)
models = ["gpt-4o", "gpt-4", "llama3.2", "gpt-3.5-turbo"] * 4
with ThreadPoolExecutor(16) as threads:  # all at once, though each vocabulary is to be loaded once
    counts = list(threads.map(lambda model: count_tokens("Hello there, world.", model), models))
said = {"counts": counts[:4], "environment_unchanged": dict(os.environ) == before}
"""


def run_offline(program: str, **more: str) -> Any:
    """Run the program in a new process and return what it printed last."""
    environment = {name: value for name, value in os.environ.items() if name != "TIKTOKEN_CACHE_DIR"} | more
    command = [sys.executable, "-c", program, str(PROJECT)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.slow
def test_counting_needs_no_network_and_leaves_the_environment_alone() -> None:
    said = run_offline(OFFLINE + "print(json.dumps(said))")
    assert said == {"counts": [5, 5, 5, 5], "environment_unchanged": True}


THEIR_ESTIMATES = """
import warnings
warnings.simplefilter("ignore")
from promptflow.core import OpenAIModelConfiguration, Prompty

for model in ("gpt-4", "gpt-4o"):
    configuration = OpenAIModelConfiguration(model=model, base_url="http://127.0.0.1:9", api_key="k")
    prompty = Prompty.load(sys.argv[1] + "/chat.prompty", model={"configuration": configuration})
    said[model] = prompty.estimate_token_count(question="Hello there, world.", chat_history=[])
print()
print(json.dumps(said))
"""


@pytest.mark.promptflow
@pytest.mark.slow
@pytest.mark.long
def test_promptflows_own_estimate_then_needs_no_network_either() -> None:
    said = run_offline(OFFLINE + THEIR_ESTIMATES, TIKTOKEN_CACHE_DIR="/nowhere")
    assert said["environment_unchanged"]
    assert said["gpt-4"] == said["gpt-4o"] == (3 + 1 + 6) + (3 + 1 + 5) + 3 + 1024
