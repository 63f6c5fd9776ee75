"""The way to a service: past proxies or through one, and the certificates that it is trusted by."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from flowkit.model import route
from flowkit.model.completion import complete_text
from flowkit.model.configuration import Model, Service, resolve
from flowkit.model.listing import only_model
from flowkit.model.route import Proxy, proxy_for
from tests.chat_server import ChatServer
from tests.conftest import PROJECT
from tests.programs import environment_of, free_port

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
ASKED = [{"role": "user", "content": "Hello?"}]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (tmp_path / ".env").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "socks://127.0.0.1:9", "no proxy"])
def test_a_server_on_this_machine_is_asked_past_any_proxy(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    server.models = {"data": [{"id": "m"}]}
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    text, _ = asyncio.run(complete_text(resolve(), ASKED, {}))
    assert (text, server.requests[0].body["model"]) == ("Hello there.", "m")


def test_a_service_elsewhere_is_asked_through_the_proxy(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
    text, _ = asyncio.run(complete_text(Model("m", Service("http://far.example/v1", "a-key")), ASKED, {}))
    assert text == "Hello there."
    assert [seen.path for seen in server.requests] == ["http://far.example/v1/chat/completions"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "socks://p:2"}, Proxy("HTTPS_PROXY", "http://p:1")),
        ({"HTTPS_PROXY": "http://p:1", "https_proxy": "http://p:2"}, Proxy("https_proxy", "http://p:2")),
        ({"ALL_PROXY": "p:1"}, Proxy("ALL_PROXY", "http://p:1")),
        ({"ALL_PROXY": " "}, None),
        *(({"ALL_PROXY": "socks5://p:1", "NO_PROXY": f"a, {each}"}, None) for each in ("*", "far.example", ".example")),
        *(({"ALL_PROXY": "p:1", "NO_PROXY": each}, None) for each in ("*.example", "https://far.example")),
        ({"ALL_PROXY": "p:1", "NO_PROXY": "r.example,10.0.0.0/8,,"}, Proxy("ALL_PROXY", "http://p:1")),
    ],
)
def test_the_variables_name_the_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: Proxy | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for("https://far.example/v1") == expected


def test_no_proxy_may_name_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8")
    assert [proxy_for(f"http://{host}/v1") for host in ("10.1.2.3", "[fd00::1]")] == [None, None]
    assert proxy_for("http://11.1.2.3/v1") is not None


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ALL_PROXY", "socks5://me:do-not-show@p:1", "ALL_PROXY is a SOCKS proxy, .* into HTTPS_PROXY, or api.openai"),
        ("https_proxy", "socks://p:1", "https_proxy is a SOCKS proxy, .* into https_proxy, or"),
        ("HTTPS_PROXY", "http://me:do-not-show@p:port", "HTTPS_PROXY must be the address of a proxy"),
        ("HTTPS_PROXY", "ftp://p:1", "HTTPS_PROXY must be the address of a proxy"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY must be the address of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_by_name_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    azure = {"azure_deployment": "m", "azure_endpoint": "https://api.openai.azure.com", "api_key": "k"}
    for configuration in ({"model": "m", "api_key": "k"}, azure):
        with pytest.raises(ValueError, match=message) as refused:
            resolve(configuration)
        assert "do-not-show" not in str(refused.value)


def test_a_proxy_that_is_not_running_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ValueError, match=r"cannot connect to http://far.example/v1 through the proxy of HTTP_PROXY"):
        only_model("http://far.example/v1", "a-key", "m")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_told_by_name_and_only_where_they_are_needed(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "cacert.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    route._certificates.cache_clear()
    with pytest.raises(ValueError, match=f"SSL_CERT_FILE={path} must be a file of certificates in PEM format"):
        resolve({"model": "m", "api_key": "k"})
    text, _ = asyncio.run(complete_text(resolve({"model": "m", "base_url": server.base_url}), ASKED, {}))
    assert text == "Hello there."
    assert route.certificates_for("http://far.example/v1").get_ca_certs() == []


def test_certificates_are_read_for_what_may_lead_to_encryption_and_not_for_this_machine() -> None:
    route._certificates.cache_clear()
    route.certificates_for("http://localhost:11434/v1")
    assert route._certificates.cache_info().currsize == 0
    route.certificates_for("http://far.example/v1")  # may redirect to https
    assert route._certificates.cache_info().currsize == 1


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "code"), [("http", 0), ("https", 2)])
def test_a_program_starts_where_the_certificates_cannot_be_read(
    server: ChatServer, tmp_path: Path, scheme: str, code: int
) -> None:
    address = server.base_url.replace("http", scheme)
    service = {"OPENAI_BASE_URL": address, "OPENAI_MODEL": "m", "SSL_CERT_FILE": "/nowhere.pem"}
    environment = environment_of(tmp_path / "home", **service)
    command = [sys.executable, str(PROJECT / "flow.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "" if code else "Hello there.\n")
    assert done.stderr.startswith("flow.py: SSL_CERT_FILE=/nowhere.pem" if code else "")
