"""Which model answers, for every way to say it."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import offline_model
from flowkit.model.completion import complete_text
from flowkit.model.configuration import Model, OfflineModelWarning, Service, resolve
from flowkit.model.variables import read_variables, warn_once
from tests.chat_server import ChatServer
from tests.programs import free_port

KEY = "sk-do-not-show"


@pytest.fixture(autouse=True)
def _no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").touch()
    monkeypatch.chdir(tmp_path)


def setenv(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_without_any_configuration_the_offline_model_answers_and_a_warning_says_so_once() -> None:
    resolve.__globals__["_offline"].cache_clear()
    with pytest.warns(OfflineModelWarning, match="no language model"):
        model = resolve()
    assert resolve() == model  # a second warning would be an error here
    assert model == Model("offline-demo", Service(offline_model.start(), "offline"))


@pytest.mark.parametrize(
    ("variables", "name", "base_url", "api_version"),
    [
        ({"OPENAI_API_KEY": KEY}, "gpt-4o-mini", None, None),
        ({"OPENAI_API_KEY": KEY, "OPENAI_MODEL": "gpt-5"}, "gpt-5", None, None),
        ({"OPENAI_BASE_URL": "http://x/v1", "OPENAI_MODEL": "llama3.2"}, "llama3.2", "http://x/v1", None),
        (
            {"AZURE_OPENAI_ENDPOINT": "https://x", "AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_DEPLOYMENT": "mine"},
            "mine",
            "https://x",
            "2024-10-21",
        ),
        ({"OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "https://half"}, "gpt-4o-mini", None, None),
    ],
)
def test_the_environment_names_the_model(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    name: str,
    base_url: str | None,
    api_version: str | None,
) -> None:
    setenv(monkeypatch, **variables)
    model = resolve()
    assert (model.name, model.service.base_url, model.service.api_version) == (name, base_url, api_version)


def test_dotenv_is_read_and_the_real_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://file/v1\nOPENAI_MODEL=of-the-file\nOPENAI_API_KEY=\n")
    monkeypatch.setenv("OPENAI_MODEL", "of-the-environment")
    model = resolve()
    assert (model.name, model.service.base_url) == ("of-the-environment", "http://file/v1")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"AZURE_OPENAI_ENDPOINT": "https://x"}, "AZURE_OPENAI_DEPLOYMENT and AZURE_OPENAI_API_KEY missing"),
        ({"AZURE_OPENAI_API_KEY": KEY}, "AZURE_OPENAI_DEPLOYMENT and AZURE_OPENAI_ENDPOINT missing"),
        ({"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_ENDPOINT": "https://x"}, "AZURE_OPENAI_DEPLOYMENT missing"),
    ],
)
def test_half_an_azure_configuration_is_refused_by_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str
) -> None:
    setenv(monkeypatch, **given)
    with pytest.raises(ValueError, match=missing) as refused:
        resolve()
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "configuration",
    [
        {"type": "openai", "model": "m", "base_url": "http://x/v1", "api_key": KEY},
        {"model": "m", "base_url": "http://x/v1", "api_key": "${env:MY_KEY}"},
        '{"model": "m", "base_url": "http://x/v1", "api_key": "${env:MY_KEY}"}',
        Model("m", Service("http://x/v1", KEY)),
    ],
)
def test_a_dict_its_text_and_a_model_say_the_same(monkeypatch: pytest.MonkeyPatch, configuration: object) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    assert resolve(configuration) == Model("m", Service("http://x/v1", KEY))


@pytest.mark.promptflow
def test_promptflows_configuration_objects_say_the_same() -> None:
    from promptflow.core import (
        AzureOpenAIModelConfiguration,
        OpenAIModelConfiguration,
    )  # slow to import, and only the process that runs this test needs it

    openai = OpenAIModelConfiguration(model="m", base_url="http://x/v1", api_key=KEY)
    assert resolve(openai) == Model("m", Service("http://x/v1", KEY))
    azure = AzureOpenAIModelConfiguration("mine", azure_endpoint="https://x", api_key=KEY, api_version="v")
    assert resolve(azure) == Model("mine", Service("https://x", KEY, api_version="v"))


def test_azure_is_told_by_its_fields() -> None:
    configuration = {"azure_deployment": "mine", "azure_endpoint": "https://x", "api_key": KEY, "api_version": "v"}
    assert resolve(configuration) == Model("mine", Service("https://x", KEY, api_version="v"))


@pytest.mark.parametrize(
    ("configuration", "error", "message"),
    [
        ({"modell": "m"}, ValueError, "unknown modell; known are"),
        ("gpt-4o", TypeError, "a dict of their fields or None, got str"),
        ({"model": "m", "api_key": "${env:NOT_SET_ANYWHERE}"}, ValueError, "NOT_SET_ANYWHERE}, which is not set"),
        ({"model": "m"}, ValueError, "api_key is missing; set OPENAI_API_KEY"),
        ({"model": "m", "api_key": KEY, "max_retries": "many"}, ValueError, "must be a number, got 'many'"),
        ({"model": "m", "api_key": KEY, "timeout_s": -1}, ValueError, "must not be negative"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_the_way_to_mend_it(
    configuration: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolve(configuration)


def test_the_key_of_the_environment_is_never_sent_to_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert resolve({"model": "m", "base_url": "http://elsewhere/v1"}).service.api_key != KEY


def test_patience_can_be_set_in_the_configuration_and_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, MODEL_MAX_RETRIES="7", MODEL_TIMEOUT_S="1.5")
    service = resolve({"model": "m", "api_key": KEY, "max_retries": 0}).service
    assert (service.max_retries, service.timeout_s, service.give_up_after_s) == (0, 1.5, 120.0)


def test_the_judge_may_have_a_model_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, OPENAI_API_KEY=KEY, JUDGE_MODEL="gpt-4o")
    assert resolve().name == "gpt-4o-mini"
    assert resolve(judge=True).name == "gpt-4o"
    assert resolve({"model": "m", "api_key": KEY}, judge=True).name == "m"


def test_a_judge_without_a_service_is_the_offline_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_MODEL", "gpt-4o")
    resolve.__globals__["_offline"].cache_clear()
    with pytest.warns(OfflineModelWarning):
        assert resolve(judge=True).name == "offline-demo"


def test_a_model_shows_no_key_and_pickles() -> None:
    model = resolve({"model": "m", "base_url": "http://x/v1", "api_key": KEY})
    assert KEY not in repr(model)
    assert pickle.loads(pickle.dumps(model)) == model


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "OPENAI_API_KEY",
            "sk-do\N{EM DASH}not-show",
            r"OPENAI_API_KEY has a character .* U\+2014 EM DASH, at position 6",
        ),
        ("OPENAI_API_KEY", "sk-do not-show", "OPENAI_API_KEY has a blank"),
        ("OPENAI_API_KEY", '"sk-do-not-show', "OPENAI_API_KEY has quotes"),
        ("OPENAI_ORG_ID", "do not-show", "OPENAI_ORG_ID has a blank"),
        ("OPENAI_PROJECT_ID", "do\nnot-show", "OPENAI_PROJECT_ID has a blank or a line break"),
        ("OPENAI_MODEL", "gpt-4o\u200b", r"the name of the model has a character that no name has, U\+200B ZERO WIDTH"),
        (
            "OPENAI_MODEL",
            "\u201cgpt-4o\u201d",
            r"the name of the model .* U\+201C LEFT DOUBLE QUOTATION MARK",
        ),
        ("OPENAI_MODEL", "gpt-4o\u201d", r"the name of the model .* U\+201D RIGHT DOUBLE QUOTATION MARK"),
        ("OPENAI_MODEL", "${M}", "the environment: OPENAI_MODEL refers to another variable"),
        ("OPENAI_BASE_URL", "localhost:11434/v1", "OPENAI_BASE_URL must be an address that begins with http"),
        ("OPENAI_BASE_URL", "sk-do-not-show", "OPENAI_BASE_URL must be an address"),
        ("OPENAI_BASE_URL", "https://h/v1\u200b", r"has no blanks, as U\+200B ZERO WIDTH SPACE; write"),
        ("OPENAI_BASE_URL", "http://h:port/v1", "OPENAI_BASE_URL must be an address"),
        ("OPENAI_BASE_URL", "https://h/v1/chat/completions", "before /chat/completions: write https://h/v1$"),
        (
            "OPENAI_BASE_URL",
            "https://u:do-not-show@h/v1/responses/?k=do-not-show",
            "before /responses: write https://h/v1$",
        ),
        ("OPENAI_BASE_URL", "https://me:do-not-show@h/v1", "must have no user and no password, .* write https://h/v1,"),
        ("OPENAI_BASE_URL", "https://r.openai.azure.com/", "write https://r.openai.azure.com/openai/v1$"),
        ("OPENAI_BASE_URL", "https://r.openai.azure.com/openai", "write https://r.openai.azure.com/openai/v1$"),
        (
            "OPENAI_BASE_URL",
            "https://r.services.ai.azure.com/api/projects/p",
            "write https://r.services.ai.azure.com/openai/v1$",
        ),
        (
            "OPENAI_BASE_URL",
            "https://generativelanguage.googleapis.com/v1beta",
            "write https://generativelanguage.googleapis.com/v1beta/openai$",
        ),
        (
            "OPENAI_BASE_URL",
            "https://h.databricks.net/serving-endpoints/m/invocations",
            "write https://h.databricks.net/serving-endpoints$",
        ),
        ("OPENAI_BASE_URL", "http://127.0.0.1:11434/api", "write http://127.0.0.1:11434/v1$"),
        ("OPENAI_BASE_URL", "https://h/v1/embeddings", "before /embeddings: write https://h/v1$"),
        ("OPENAI_BASE_URL", "https://api.anthropic.com/v1/messages", "write https://api.anthropic.com/v1$"),
        ("OPENAI_BASE_URL", "http://localhost:11434/api/chat", "before /api/chat: write http://localhost:11434/v1$"),
        (
            "OPENAI_BASE_URL",
            "https://x.services.ai.azure.com/models",
            "write https://x.services.ai.azure.com/openai/v1$",
        ),
        (
            "OPENAI_BASE_URL",
            "https://x.openai.azure.com/openai/deployments/mine/chat/completions?api-version=1",
            "AZURE_OPENAI_ENDPOINT=https://x.openai.azure.com, AZURE_OPENAI_DEPLOYMENT=mine",
        ),
        ("MODEL_TIMEOUT_S", "0", "MODEL_TIMEOUT_S must be more than 0"),
        ("MODEL_TIMEOUT_S", "nan", "MODEL_TIMEOUT_S must be a finite number"),
        ("MODEL_GIVE_UP_AFTER_S", "inf", "MODEL_GIVE_UP_AFTER_S must be a finite number"),
        ("MODEL_MAX_RETRIES", "-1", "MODEL_MAX_RETRIES must not be negative"),
        ("MODEL_MAX_IN_FLIGHT", "0", "MODEL_MAX_IN_FLIGHT must be at least 1"),
    ],
)
def test_a_variable_that_cannot_work_is_refused_by_name_and_without_the_key(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    setenv(monkeypatch, **{"OPENAI_API_KEY": KEY, name: value})
    with pytest.raises(ValueError, match=message) as refused:
        resolve()
    assert "do-not-show" not in str(refused.value)


@pytest.mark.parametrize("path", ["openai/deployments/mine/chat/completions?api-version=1", "openai/v1/", "openai"])
def test_an_azure_endpoint_ends_before_its_paths(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    setenv(monkeypatch, AZURE_OPENAI_API_KEY=KEY, AZURE_OPENAI_DEPLOYMENT="mine")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"https://x/{path}")
    with pytest.raises(ValueError, match=r"AZURE_OPENAI_ENDPOINT must be the address before /openai: write https://x$"):
        resolve()


def test_an_azure_endpoint_has_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, AZURE_OPENAI_API_KEY=KEY, AZURE_OPENAI_DEPLOYMENT="mine")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://x/?api-version=1")
    with pytest.raises(ValueError, match=r"AZURE_OPENAI_ENDPOINT must be .* before the query: write https://x/, and"):
        resolve()


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_variable_of_the_environment_are_taken_off(monkeypatch: pytest.MonkeyPatch, quote: str) -> None:
    given = {"OPENAI_BASE_URL": "http://x/v1", "OPENAI_MODEL": "m", "OPENAI_API_KEY": KEY, "MODEL_MAX_RETRIES": "7"}
    setenv(monkeypatch, **{name: f"{quote}{value}{quote}" for name, value in given.items()})
    assert resolve() == Model("m", Service("http://x/v1", KEY, max_retries=7))


def test_organization_and_project_are_sent_without_the_line_break_at_their_end(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    setenv(monkeypatch, OPENAI_ORG_ID="org-x\n", OPENAI_PROJECT_ID="proj_y\n")
    setenv(monkeypatch, OPENAI_BASE_URL=server.base_url, OPENAI_MODEL="m")
    asyncio.run(complete_text(resolve(), [{"role": "user", "content": "Hello?"}], {}))
    headers = server.requests[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-x", "proj_y")


def test_a_field_of_model_config_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="model_config: api_key has a blank"):
        resolve({"model": "m", "api_key": "a b"})
    with pytest.raises(ValueError, match="model_config: timeout_s must be more than 0"):
        resolve({"model": "m", "api_key": KEY, "timeout_s": 0})


def test_the_path_of_a_chat_is_cut_from_an_address_in_model_config() -> None:
    given = {"model": "m", "base_url": "https://x/v1/chat/completions", "api_key": KEY}
    assert resolve(given).service.base_url == "https://x/v1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dotenv_is_read_in_utf_8_and_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_bytes("OPENAI_BASE_URL=http://127.0.0.1/v1\r\nOPENAI_MODEL=m\r\n".encode(encoding))
    assert resolve() == Model("m", Service("http://127.0.0.1/v1", "no-key-needed"))


def test_dotenv_may_be_a_virtual_environment_and_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()
    with pytest.raises(ValueError, match="must be a file with lines NAME=value, and is an empty folder; remove it"):
        read_variables()
    (tmp_path / ".env" / "pyvenv.cfg").touch()
    assert read_variables().maps[1] == {}


@pytest.mark.parametrize("raw", ["OPENAI_MODEL=m".encode("utf-16-le"), b"OPENAI_MODEL=caf\xe9", b"A=\0"])
def test_dotenv_in_another_encoding_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / ".env").write_bytes(raw)
    with pytest.raises(ValueError, match=r"file .*\.env is not UTF-8 text"):
        resolve()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("OPENAI_MODEL: m", 1),
        ('$env:OPENAI_MODEL="m"', 1),
        ("OPENAI_MODEL:m", 1),
        ("\n# a comment\nOPENAI_MODEL='m'\n\nOPENAI_API_KEY sk-do-not-show\nA=1\n", 5),
        ('A=1\r\nOPENAI_API_KEY="sk-do-not-show\r\n', 2),
    ],
)
def test_a_line_of_dotenv_that_cannot_be_read_is_told_by_its_number(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    with pytest.raises(ValueError, match=rf"\.env line {line} must be NAME=value") as refused:
        resolve()
    assert "do-not-show" not in str(refused.value)


def test_what_dotenv_may_hold_is_read(tmp_path: Path) -> None:
    lines = [
        "export OPENAI_MODEL = 'm' # a comment",
        "",
        "export HOME",
        "OTHER=http://a:1 # b",
        "OPENAI_BASE_URL=http://x",
    ]
    (tmp_path / ".env").write_text("\n".join(lines))
    assert resolve() == Model("m", Service("http://x", "no-key-needed"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_dotenv_may_be_a_pipe_which_is_read_once(tmp_path: Path) -> None:
    (tmp_path / ".env").unlink()
    os.mkfifo(tmp_path / ".env")
    text = "OPENAI_BASE_URL=http://x/v1\nOPENAI_MODEL=m\n"
    writer = threading.Thread(target=(tmp_path / ".env").write_text, args=[text], daemon=True)
    writer.start()
    assert [resolve(), resolve(judge=True)] == [Model("m", Service("http://x/v1", "no-key-needed"))] * 2
    writer.join()


@pytest.mark.parametrize("name", ["OPENAI_MODEL", "JUDGE_MODEL"])
def test_a_model_of_dotenv_that_refers_to_a_variable_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_BASE_URL=http://x/v1\n{name}=${{M}}\n")
    with pytest.raises(ValueError, match=rf"\.env: {name} refers to another variable"):
        resolve(judge=name == "JUDGE_MODEL")


def test_the_old_name_of_the_address_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    setenv(monkeypatch, OPENAI_API_KEY=KEY, OPENAI_API_BASE="http://x/v1")
    assert [resolve().service.base_url, resolve().service.base_url] == [None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "OPENAI_API_BASE is an old name, which is not read: write OPENAI_BASE_URL in its place"
    ]


def test_dotenv_of_a_folder_above_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://127.0.0.1/v1\nOPENAI_MODEL=of-the-stranger\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert resolve() == Model("gpt-4o-mini", Service(None, KEY))


PAIRS = [
    ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"),
    ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_DEPLOYMENT"),
]


@pytest.mark.parametrize(("address", "key", "name"), PAIRS)
def test_a_key_of_the_environment_is_never_sent_to_an_address_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, key: str, name: str
) -> None:
    (tmp_path / ".env").write_text(f"{address}=https://strange/v1\n{name}=m\n")
    monkeypatch.setenv(key, KEY)
    with pytest.raises(ValueError, match=rf"{tmp_path}/\.env names {address}, and only the environment has {key}"):
        resolve()


def test_a_file_cannot_fetch_the_key_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=https://strange/v1\nOPENAI_MODEL=m\nOPENAI_API_KEY=${MY_KEY}\n")
    with pytest.raises(ValueError, match="OPENAI_API_KEY refers to another variable"):
        resolve()
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=https://strange/v1\n")
    with pytest.raises(ValueError, match="write base_url in model_config too"):
        resolve({"model": "m", "api_key": "${env:MY_KEY}"})


def test_the_environment_wins_as_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=https://of-the-file/v1\nOPENAI_API_KEY=of-the-file\n")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert [resolve(), resolve()] == [Model("gpt-4o-mini", Service(None, KEY))] * 2
    assert [record.getMessage() for record in caplog.records] == [
        f"OPENAI_BASE_URL and OPENAI_API_KEY of {tmp_path / '.env'} are not used: "
        "the environment has its own OPENAI_API_KEY"
    ]
    monkeypatch.delenv("OPENAI_API_KEY")
    setenv(monkeypatch, OPENAI_BASE_URL="https://of-the-environment/v1", OPENAI_MODEL="m")
    assert resolve() == Model("m", Service("https://of-the-environment/v1", "no-key-needed"))


@pytest.mark.parametrize(
    ("address", "warnings"),
    [
        ("http://far.example/v1", 1),
        ("http://192.168.7.7/v1", 1),
        ("https://far.example/v1", 0),
        ("http://localhost:1/v1", 0),
        ("http://127.9.9.9/v1", 0),
        ("http://[::1]:1/v1", 0),
        ("http://host.docker.internal:1/v1", 0),
    ],
)
def test_a_key_that_travels_unencrypted_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, address: str, warnings: int
) -> None:
    for _ in range(2):
        resolve({"model": "m", "base_url": address, "api_key": KEY})
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == warnings
    assert all("unencrypted" in text and address in text and KEY not in text for text in said)


def models(*names: str) -> dict[str, object]:
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


@pytest.mark.parametrize(
    ("listed", "name"),
    [
        (models("llama3.2"), "llama3.2"),
        (models("a", "gpt-4o-mini"), "gpt-4o-mini"),
        (None, "gpt-4o-mini"),
        ({"object": "chat.completion", "choices": []}, "gpt-4o-mini"),
        (["a"], "gpt-4o-mini"),
        ([{"id": "of-a-bare-list", "object": "model"}], "of-a-bare-list"),
        ({"models": [{"name": "by-its-name", "model": "by-its-name"}]}, "by-its-name"),
        (models("text-embedding-nomic-embed-text-v1.5", "qwen2.5-7b-instruct"), "qwen2.5-7b-instruct"),
        (models("only-embeds"), "only-embeds"),
    ],
)
def test_the_only_model_of_a_server_is_taken_and_it_is_asked_once(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, listed: object, name: str
) -> None:
    server.models = listed
    setenv(monkeypatch, OPENAI_BASE_URL=server.base_url, OPENAI_API_KEY=KEY)
    assert [resolve().name, resolve(judge=True).name] == [name, name]
    assert [(seen.path, seen.headers["authorization"]) for seen in server.listings] == [("/v1/models", f"Bearer {KEY}")]


@contextmanager
def redirecting(target: str) -> Iterator[str]:
    """Serve one model at /models/, and a redirect to `target` at /models, as FastAPI does; yield the address."""

    class Listing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(models("behind-a-redirect")).encode()
            self.send_response(200 if self.path == "/v1/models/" else 307)
            self.send_header("location", target)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listing) as listing:
        threading.Thread(target=listing.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listing.server_address[1]}/v1"
        listing.shutdown()


def test_a_list_of_models_is_followed_on_its_own_server_alone(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.models = models("of-another-server")
    for target, name in (("/v1/models/", "behind-a-redirect"), (f"{server.base_url}/models", "gpt-4o-mini")):
        with redirecting(target) as address:
            monkeypatch.setenv("OPENAI_BASE_URL", address)
            assert resolve().name == name
    assert server.listings == []


def test_a_choice_of_models_is_left_to_the_person(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    server.models = models(*(f"m{i}" for i in range(12)))
    with pytest.raises(ValueError, match=r"has 12 models: set it to one of m0, .*, m9 and 2 more"):
        resolve()
    server.models = {"object": "list", "data": None}
    with pytest.raises(ValueError, match="lists no model"):
        resolve()


def test_a_server_that_is_not_running_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ValueError, match=f"cannot connect to {address}: is it running"):
        resolve()


@pytest.mark.parametrize(
    ("variables", "named", "model", "said"),
    [
        ({"OPENAI_API_KEY": KEY}, {"model": "of-the-prompty"}, "of-the-prompty", "OPENAI_MODEL"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_MODEL": "m"}, {"model": "of-the-prompty"}, "m", ""),
        ({"OPENAI_API_KEY": KEY}, {}, "gpt-4o-mini", ""),
        (
            {"AZURE_OPENAI_ENDPOINT": "https://x.example", "AZURE_OPENAI_API_KEY": KEY},
            {"azure_deployment": "of-the-prompty"},
            "of-the-prompty",
            "AZURE_OPENAI_DEPLOYMENT",
        ),
    ],
)
def test_the_model_of_the_prompty_is_taken_where_nothing_else_names_one_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
    named: dict[str, str],
    model: str,
    said: str,
) -> None:
    warn_once.cache_clear()
    setenv(monkeypatch, **variables)
    assert resolve(default=named).name == model
    told = [record.getMessage() for record in caplog.records]
    sentence = f"no model is named, so it is {model}, which the prompty names; {said} in .env names another"
    assert told == ([sentence] if said else [])
