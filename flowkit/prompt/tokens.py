"""How many tokens a text has, by OpenAI's vocabularies; they come with the project, so counting needs no network.

For a model of another maker the count is an estimate: `flowkit.model.token_factor` learns how much it falls short.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import tiktoken

VOCABULARIES = Path(__file__).absolute().parent / "vocab"
# tiktoken keeps a vocabulary under the SHA-1 of the address that it would otherwise download it from.
ADDRESS = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
NEWEST, GPT_3_5_AND_4 = "o200k_base", "cl100k_base"
PIECE, SEARCHED = 500_000, 1_000  # characters
BETWEEN_WORDS = re.compile("(?<=[a-z])(?= [a-z])")  # where a cut changes no token

log = logging.getLogger(__name__)
_loading = threading.Lock()


def count_tokens(text: str, model_name: str) -> int:
    """Return the number of tokens of `text`, as ordinary text: `<|endoftext|>` in it is seven tokens, no command.

    Exact for OpenAI's models; for any other one (`knows` says so) it is the count of OpenAI's newest vocabulary.
    """
    vocabulary = load_vocabulary(model_name)
    return sum(len(vocabulary.encode_ordinary(piece)) for piece in _pieces(text))


def load_vocabulary(model_name: str) -> tiktoken.Encoding:
    """Load the model's vocabulary if this process has not yet; that takes some 0.3 s, so better not amid answers."""
    return _vocabulary(_vocabulary_name(model_name))


def knows(model_name: str) -> bool:
    """Say whether the model's own vocabulary is here, so that its tokens are counted and not estimated."""
    return _own_vocabulary(model_name) != ""


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text, between two words if there are any near; elsewhere a cut adds one token at the most.

    Whole, its tokens would take ten times the memory of the text, and a million blanks overflow tiktoken's patterns.
    """
    start = 0
    while len(text) - start > PIECE:
        place = BETWEEN_WORDS.search(text, start + PIECE - SEARCHED, start + PIECE)
        end = place.start() if place else start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]


@lru_cache(maxsize=256)
def _vocabulary_name(model_name: str) -> str:
    if not (name := _own_vocabulary(model_name)):
        log.debug("tokens of the unknown model %s are counted with %s", model_name, NEWEST)
    return name or NEWEST


@lru_cache(maxsize=256)
def _own_vocabulary(model_name: str) -> str:
    """Return the name of the model's vocabulary, "" where it is not one of those here."""
    try:
        name = tiktoken.encoding_name_for_model(model_name)
    except KeyError:
        name = ""
    return name if name in (NEWEST, GPT_3_5_AND_4) else ""


@lru_cache(maxsize=2)
def _vocabulary(name: str) -> tiktoken.Encoding:
    """Load a vocabulary; promptflow's own counts then find it in tiktoken's memory and need no network either."""
    file_name = hashlib.sha1(ADDRESS.format(name).encode()).hexdigest()
    with _loading, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file_name).write_bytes(gzip.decompress((VOCABULARIES / f"{name}.tiktoken.gz").read_bytes()))
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = folder  # tiktoken takes it no other way, and checks the file's hash
        try:
            return tiktoken.get_encoding(name)
        finally:
            os.environ.pop("TIKTOKEN_CACHE_DIR")
            if before is not None:
                os.environ["TIKTOKEN_CACHE_DIR"] = before
