"""Whether an address, a key or a limit can work at all: told by its name, before anything is sent."""

from __future__ import annotations

import ipaddress
import math
import re
import unicodedata
from typing import Any
from urllib.parse import SplitResult, urlsplit

# What must not stand at the end of an address, and what must stand there instead.
WHOLE_PATHS = {
    **dict.fromkeys(("/chat/completions", "/completions", "/embeddings", "/responses", "/messages"), ""),
    ".services.ai.azure.com/models": ".services.ai.azure.com/openai/v1",
    "/models": "",
    **dict.fromkeys(("/api/chat", "/api/generate"), "/v1"),  # Ollama's own
}
# Services whose address for OpenAI's clients is another one than the address that people copy.
ELSEWHERE = (
    (r"(https://[^/]*\.openai\.azure\.com)(/openai)?/?", r"\1/openai/v1"),
    (r"(https://[^/]*\.services\.ai\.azure\.com)(/api/projects/.*)?/?", r"\1/openai/v1"),
    (r"(https://generativelanguage\.googleapis\.com)(/v1(beta)?)?/?", r"\1/v1beta/openai"),
    (r"(https://[^/]*/serving-endpoints)/[^/]+/invocations/?", r"\1"),  # Databricks
    (r"(https?://[^/]*:11434)/api/?", r"\1/v1"),  # Ollama
)
DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)")
QUOTES = "'\"`\u2018\u2019\u201c\u201d"
THIS_MACHINE = ("localhost", "host.docker.internal", "host.containers.internal", "0.0.0.0")
WHOLE = {"max_retries": 0, "max_in_flight": 1}  # the lowest value of each limit that is a count; the others are seconds


def check_base_url(name: str, address: str) -> None:
    """Raise ValueError, with `name` and what to write instead, for what is no base URL of an OpenAI-like service."""
    parts = _split(name, address)
    if deployment := DEPLOYMENT.search(parts.path):
        raise ValueError(
            f"{name} is an address of Azure OpenAI: set AZURE_OPENAI_ENDPOINT={_before(parts, deployment[0])}, "
            f"AZURE_OPENAI_DEPLOYMENT={deployment[1]} and AZURE_OPENAI_API_KEY instead"
        )
    _check_ending(name, parts)
    _check_login(name, parts)
    for pattern, instead in ELSEWHERE:
        if found := re.fullmatch(pattern, f"{_root(parts)}{parts.path}"):
            raise ValueError(f"{name} is not where OpenAI's clients are answered: write {found.expand(instead)}")


def check_azure_endpoint(name: str, address: str) -> None:
    """Raise ValueError, with `name` and what to write instead, for what is no endpoint of an Azure OpenAI resource."""
    parts = _split(name, address)
    if inside := re.search(r"/openai(/|$)|/api/projects/", parts.path):
        raise ValueError(
            f"{name} must be the address before {inside[0].rstrip('/')}: write {_before(parts, inside[0])}"
        )
    _check_ending(name, parts)
    _check_login(name, parts)
    if parts.query:
        raise ValueError(
            f"{name} must be the address before the query: write {shown(address)}, and the version of the API into "
            "AZURE_OPENAI_API_VERSION"
        )


def without_chat_path(address: str) -> str:
    """Return `address` without `/chat/completions` at its end: that path is the one asked anyway."""
    return re.sub(r"/chat/completions/*$", "", address)


def check_key(name: str, key: str) -> None:
    """Raise ValueError, with `name` and never the key, for a key that cannot be sent."""
    again = "copy it again, alone and without quotes"
    if re.search(r"\s", key):
        raise ValueError(f"{name} has a blank or a line break inside: {again}")
    if strange := re.search(r"[^!-~]", key):
        raise ValueError(
            f"{name} has a character that no key has, {_called(strange[0])}, at position {strange.start() + 1}: {again}"
        )
    if key[0] in QUOTES or key[-1] in QUOTES:
        raise ValueError(f"{name} has quotes around it: {again}")


def check_model(name: str) -> None:
    """Raise ValueError for a model's name with characters that nobody sees, or in quotes, as copied from a page."""
    at_ends = (each for each in (name[:1], name[-1:]) if each and each in QUOTES)
    if strange := next(filter(_is_unseen, name), "") or next(at_ends, ""):
        raise ValueError(f"the name of the model has a character that no name has, {_called(strange)}: write it anew")


def checked_limit(name: str, limit: str, value: Any) -> float | int:
    """Return `value` as the number that `limit` takes; ValueError with `name` where it is none, or too low."""
    try:
        number = int(value) if limit in WHOLE else float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    if number < 0:
        raise ValueError(f"{name} must not be negative, got {value!r}")
    if limit in WHOLE and number < WHOLE[limit]:
        raise ValueError(f"{name} must be at least {WHOLE[limit]}, got {value!r}")
    if limit not in WHOLE and number == 0:
        raise ValueError(f"{name} must be more than 0 seconds, got {value!r}")
    return number


def is_this_machine(address: str) -> bool:
    """Say whether the host of `address` is this machine (also as a container calls it); a private network is not."""
    host = urlsplit(address).hostname or ""
    try:
        return host in THIS_MACHINE or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(address: str) -> str:
    """Return `address` without the parts that may hold a secret: user, password, query."""
    parts = urlsplit(address)
    return f"{_root(parts)}{parts.path}"


def _split(name: str, address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        usable = False
    unseen = next((each for each in address if each.isspace() or _is_unseen(each)), "")
    if not usable or unseen:
        found = f", as {_called(unseen)}" if unseen else ""
        raise ValueError(
            f"{name} must be an address that begins with http:// or https:// and has no blanks{found}; "
            "write for example https://host/v1 or http://127.0.0.1:11434/v1"
        )
    return parts


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf")


def _called(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _check_ending(name: str, parts: SplitResult) -> None:
    address = f"{_root(parts)}{parts.path}".rstrip("/")
    for ending, instead in WHOLE_PATHS.items():
        if address.endswith(ending):
            path = ending[ending.index("/") :]
            raise ValueError(f"{name} must be the address before {path}: write {address.removesuffix(ending)}{instead}")


def _check_login(name: str, parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ValueError(
            f"{name} must have no user and no password, which are never sent: write {_root(parts)}{parts.path}, "
            "and the service's key apart from it"
        )


def _before(parts: SplitResult, piece: str) -> str:
    return _root(parts) + parts.path[: parts.path.index(piece)]


def _root(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
