"""Which model answers, for every way to say it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import offline_model
from flowkit.model.configuration import Model, OfflineModelWarning, Service, resolve

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


def test_a_model_shows_no_key_and_pickles() -> None:
    model = resolve({"model": "m", "base_url": "http://x/v1", "api_key": KEY})
    assert KEY not in repr(model)
    assert pickle.loads(pickle.dumps(model)) == model
