"""The way to a service: the proxy that the environment names for it, and the certificates it is trusted by."""

from __future__ import annotations

import ipaddress
import os
import ssl
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from flowkit.model.checks import is_this_machine

OPENAI = "https://api.openai.com/v1"


class Proxy(NamedTuple):
    """variable: what names it, for messages; url: where it is, perhaps with a password."""

    variable: str
    url: str


def check_route(address: str) -> None:
    """Raise ValueError, with the variable's name, where its proxy or its certificates cannot be used for `address`."""
    proxy_for(address)
    if urlsplit(address).scheme == "https":
        certificates_for(address)


def is_same_server(one: str, other: str) -> bool:
    """Say whether two addresses lead to the same port of the same host, in the same way."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, port_of(first)) == (second.scheme, second.hostname, port_of(second))


def proxy_for(address: str) -> Proxy | None:
    """Return the environment's proxy for `address`; None for this machine, which a proxy could not reach.

    Raises ValueError for a SOCKS proxy, and for what is no address of a proxy; both without the value.
    """
    url, proxies = urlsplit(address), getproxies()
    scheme = next((each for each in (url.scheme, "all") if proxies.get(each, "").strip()), None)
    if scheme is None or is_this_machine(address) or _is_exempt(url, proxies.get("no", "")):
        return None
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())  # the order in which they are read
    variable = next((each for each in names if os.environ.get(each)), "the system's proxy")
    value = proxies[scheme].strip()
    proxy = value if "://" in value else f"http://{value}"
    if proxy.lower().startswith("socks"):
        raise ValueError(
            f"{variable} is a SOCKS proxy, which is not supported: write an HTTP proxy, http://host:port, into "
            f"{variable if scheme != 'all' else f'{url.scheme}_proxy'.upper()}, or {url.hostname} into NO_PROXY"
        )
    if not _is_usable(proxy):
        raise ValueError(f"{variable} must be the address of a proxy, such as http://host:port")
    return Proxy(variable, proxy)


def certificates_for(address: str) -> ssl.SSLContext:
    """Return what the service at `address` is trusted by; nobody where it is this machine, without encryption.

    Raises ValueError where SSL_CERT_FILE cannot be read; for another address without encryption nobody is trusted then.
    """
    is_encrypted = urlsplit(address).scheme == "https"
    if not is_encrypted and is_this_machine(address):
        return _nobody()  # the certificates would be 50 ms of the first answer
    try:
        return _certificates()
    except OSError as error:
        if not is_encrypted:
            return _nobody()
        if not (path := os.environ.get("SSL_CERT_FILE")):
            raise
        raise ValueError(
            f"SSL_CERT_FILE={path} must be a file of certificates in PEM format ({error.strerror or error}): "
            "correct the path, or unset SSL_CERT_FILE for the system's certificates"
        ) from None


def port_of(url: SplitResult) -> int | None:
    """Return the port that an address names, else that of http or https; None for another scheme without one."""
    return url.port or {"http": 80, "https": 443}.get(url.scheme)


def _nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Read the certificates, which takes 30 ms, so once per process."""
    import httpx2  # slow to import

    return httpx2.create_ssl_context()


def _is_exempt(url: SplitResult, no_proxy: str) -> bool:
    """Say whether NO_PROXY has the host: itself, with its port, by its domain, or by its network."""
    host = url.hostname or ""
    if proxy_bypass(host):  # which also knows the settings of Windows and macOS
        return True
    for entry in no_proxy.lower().split(","):
        name = entry.rpartition("://")[2].strip().removeprefix("*").lstrip(".")
        if entry.strip() == "*" or _is_in_network(host, name):
            return True
        if name and any(f".{each}".endswith(f".{name}") for each in (host, f"{host}:{url.port}")):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(
            network.replace("[", "").replace("]", ""), strict=False
        )
    except ValueError:
        return False


def _is_usable(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False
