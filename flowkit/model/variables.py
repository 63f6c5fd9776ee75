"""The variables that configure a model, of the environment and of one `.env`; whose key goes with which address."""

from __future__ import annotations

import codecs
import io
import os
from collections import ChainMap
from functools import lru_cache
from logging import getLogger
from pathlib import Path

from dotenv.parser import parse_stream

PROJECT = Path(__file__).absolute().parents[2]

log = getLogger(__name__)


def read_variables() -> ChainMap[str, str]:
    """Return the environment's variables, in front of those of `.env`: the environment wins, and blanks are unset.

    `.env` is the working directory's, else the project's; folders above are not searched, and one that is a folder
    itself is a virtual environment. Quotes around a value of the environment are taken off: `docker run --env-file`
    leaves them there.
    Raises ValueError for a file that is not UTF-8 text (UTF-16 is read where a byte-order mark says so), for a line of
    it that is no NAME=value, and for an empty folder: Docker makes one where there is no file of that name.
    """
    environment = {name: _unquoted(value.strip()) for name, value in os.environ.items()}
    in_file = {name: value for name, value in _read_dotenv(dotenv_path()).items() if environment.get(name) != ""}
    return ChainMap({name: value for name, value in environment.items() if value}, in_file)


def dotenv_path() -> Path:
    """Return where `.env` is read from; it need not exist."""
    local = Path.cwd() / ".env"
    if local.is_dir() and not any(local.iterdir()):
        raise ValueError(f"{local} must be a file with lines NAME=value, and is an empty folder; remove it")
    return local if local.is_file() or local.is_fifo() else PROJECT / ".env"


def value_of(variables: ChainMap[str, str], name: str) -> str | None:
    """Return the value of a variable, None where it is unset; ValueError where it would be that of another one."""
    value = variables.get(name)
    if value and "${" in value:
        where = "the environment" if name in variables.maps[0] else dotenv_path()
        raise ValueError(f"{where}: {name} refers to another variable; write the value itself")
    return value


def address_and_key(variables: ChainMap[str, str], address: str, key: str) -> tuple[str | None, str | None]:
    """Return the values of the variables named `address` and `key`, both from the environment or both from `.env`.

    So a file, perhaps a stranger's, never says where the environment's key is sent. The environment wins as a pair:
    if it has one of the two, the file's pair is passed over (with a warning, where that leaves something out).
    Raises ValueError where the file has an address, and only the environment has a key.
    """
    environment, in_file = variables.maps
    if address not in environment and key not in environment:
        return value_of(variables, address), value_of(variables, key)
    if address not in environment and address in in_file:
        if key not in in_file:
            raise ValueError(
                f"{dotenv_path()} names {address}, and only the environment has {key}, which is never sent to an "
                f"address of a file: write {key} into that file too, or set {address} in the environment; for a server "
                f"without keys unset {key}"
            )
        warn_once(f"{address} and {key} of {dotenv_path()} are not used: the environment has its own {key}")
    elif key not in environment and key in in_file:
        warn_once(f"{key} of {dotenv_path()} is not used: {address} is the environment's, so its key must be there too")
    return environment.get(address), environment.get(key)


@lru_cache(maxsize=64)
def warn_once(text: str) -> None:
    """Log a warning, once per process."""
    log.warning("%s", text)


def _read_dotenv(path: Path) -> dict[str, str]:
    if path.is_fifo():
        raw = _read_pipe(path)
    elif path.is_file():
        raw = path.read_bytes()
    else:
        return {}
    is_utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"file {path} is not UTF-8 text: save it again with the encoding UTF-8")
    # Not interpolated: `${OPENAI_API_KEY}` in a file would hand the environment's key to the file's address.
    values: dict[str, str] = {}
    for each in parse_stream(io.StringIO(text)):
        name, value, (line, number) = each.key or "", (each.value or "").strip(), each.original
        if each.error or (":" in name and each.value is None) or name.startswith("$"):  # PowerShell's
            number += line[: len(line) - len(line.lstrip())].count("\n")  # blank lines belong to the next one
            raise ValueError(f"{path} line {number} must be NAME=value, and a quote that is opened must be closed")
        values[name] = value
    return {name: value for name, value in values.items() if value}


@lru_cache(maxsize=1)
def _read_pipe(path: Path) -> bytes:
    """Read what a program, such as a keeper of passwords, writes into a pipe: once, as it may not write it again."""
    return path.read_bytes()


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1].strip() if is_quoted else value
