"""How many tokens a text has for a model; the vocabularies come with the project, so counting needs no network."""

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
LONGEST_RUN = 500_000
BLANKS = re.compile(rf"\s{{1,{LONGEST_RUN}}}")

log = logging.getLogger(__name__)
_loading = threading.Lock()


def count_tokens(text: str, model_name: str) -> int:
    """Return the number of tokens of `text`, as ordinary text: `<|endoftext|>` in it is seven tokens, no command."""
    vocabulary = load_vocabulary(model_name)
    return sum(len(vocabulary.encode_ordinary(piece)) for piece in _digestible(text))


def load_vocabulary(model_name: str) -> tiktoken.Encoding:
    """Load the model's vocabulary if this process has not yet; that takes some 0.3 s, so better not amid answers."""
    return _vocabulary(_vocabulary_name(model_name))


def _digestible(text: str) -> Iterator[str]:
    """Cut runs of blanks that overflow tiktoken's pattern engine (a million); a cut adds one token at the most."""
    start = 0
    if len(text) > LONGEST_RUN:
        for run in BLANKS.finditer(text):
            if run.end() - run.start() == LONGEST_RUN:
                yield text[start : run.end()]
                start = run.end()
    yield text[start:]


@lru_cache(maxsize=256)
def _vocabulary_name(model_name: str) -> str:
    try:
        name = tiktoken.encoding_name_for_model(model_name)
    except KeyError:
        name = ""
    if name not in (NEWEST, GPT_3_5_AND_4):
        log.debug("tokens of the unknown model %s are counted with %s", model_name, NEWEST)
        name = NEWEST
    return name


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
