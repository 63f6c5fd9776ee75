"""Which model answers: an explicit configuration, else `.env` and the environment, else the offline model."""

from __future__ import annotations

import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flowkit.model.checks import (
    check_azure_endpoint,
    check_base_url,
    check_key,
    check_model,
    is_this_machine,
    shown,
    without_chat_path,
)
from flowkit.model.given import Fields, expanded, fields_of
from flowkit.model.listing import only_model
from flowkit.model.options import account_of, limits_of
from flowkit.model.route import OPENAI, check_route
from flowkit.model.variables import address_and_key, dotenv_path, read_variables, value_of, warn_once

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_AZURE_API_VERSION = "2024-10-21"


class OfflineModelWarning(UserWarning):
    """The answers come from the offline demonstration, which is no language model."""


@dataclass(frozen=True)
class Service:
    """Where requests go and how patient we are.

    base_url: of an OpenAI-compatible service, or the endpoint of an Azure OpenAI resource.
    api_version: set for Azure OpenAI, None for everything else.
    timeout_s: the longest silence, before the first byte and between two chunks.
    max_retries, give_up_after_s: how often, and for how long in all, opening one answer is tried.
    max_in_flight: how many requests of one event loop are under way at once, None for no limit; with a limit, a
    "too many requests" slows down all of them.
    """

    base_url: str | None
    api_key: str = field(repr=False)
    api_version: str | None = None
    organization: str | None = None
    project: str | None = None
    timeout_s: float = 60.0
    max_retries: int = 2
    give_up_after_s: float = 120.0
    max_in_flight: int | None = None


@dataclass(frozen=True)
class Model:
    """A model (for Azure OpenAI a deployment) by its name at its service."""

    name: str
    service: Service

    def limited(self, at_once: int) -> Model:
        """Return the same model with at most `at_once` requests in flight at its service."""
        return replace(self, service=replace(self.service, max_in_flight=at_once))


def resolve(
    model_config: Any = None,
    *,
    judge: bool = False,
    connection: Callable[[str], Fields] | None = None,
    default: Mapping[str, str] | None = None,
) -> Model:
    """Return the model that `model_config` names.

    model_config: promptflow's `OpenAIModelConfiguration` or `AzureOpenAIModelConfiguration`, a dict of either's
    fields (and of `Service`'s limits), a `Model`, or None for what `.env` and the environment say. A value written
    `${env:NAME}` stands for that variable, `connection` names a connection that promptflow keeps.
    connection: returns the fields of a connection, given its name.
    judge: without a configuration, `JUDGE_MODEL` names another model at the same service.
    default: the "model" or "azure_deployment" for where neither names one, which is said; `Prompt.models` has them.
    Without any it is gpt-4o-mini; at an address of one's own it is the only one that the service lists.
    A key and its address come from one source: `model_config`, the environment or `.env` (`address_and_key`).
    Raises ValueError, with the name of the variable or field and what to write instead, where the configuration is
    incomplete, cannot work or has a field that nobody reads, and where nobody answers at the address to be listed.
    """
    if isinstance(model_config, Model):
        return model_config
    variables, default = read_variables(), default or {}
    if model_config is not None:
        model = _from_fields(expanded(fields_of(model_config), variables), variables, connection, default)
    else:
        name = value_of(variables, "JUDGE_MODEL") if judge else None
        model = _from_variables(variables, name, default) or _offline()
    check_model(model.name)
    return model


def is_offline(model: Model) -> bool:
    """Say whether that model is the offline demonstration, whose figures measure nothing."""
    import offline_model

    return model.name == offline_model.MODEL


def _from_variables(variables: ChainMap[str, str], name: str | None, default: Mapping[str, str]) -> Model | None:
    addresses = ("OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT")
    if "OPENAI_API_BASE" in variables and not any(each in variables for each in addresses):
        warn_once("OPENAI_API_BASE is an old name, which is not read: write OPENAI_BASE_URL in its place")
    if "OPENAI_API_KEY" in variables or "OPENAI_BASE_URL" in variables:
        return _openai({"model": name or value_of(variables, "OPENAI_MODEL")}, variables, default)
    if any(each in variables for each in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_DEPLOYMENT")):
        return _azure({"azure_deployment": name or value_of(variables, "AZURE_OPENAI_DEPLOYMENT")}, variables, default)
    return None


def _from_fields(
    given: Fields,
    variables: ChainMap[str, str],
    connection: Callable[[str], Fields] | None,
    default: Mapping[str, str],
) -> Model:
    if name := given.pop("connection", None):
        if connection is None:
            raise ValueError(f"model_config: connection {name!r} is one of promptflow's, and nothing reads those")
        given |= connection(name)
    known = {"model", "azure_deployment", "azure_endpoint", *(each.name for each in fields(Service))}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"model_config: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    is_azure = "azure_deployment" in given or "azure_endpoint" in given
    return _azure(given, variables, default) if is_azure else _openai(given, variables, default)


def _openai(given: Mapping[str, Any], variables: ChainMap[str, str], default: Mapping[str, str]) -> Model:
    base_url, api_key = _address_and_key(given, variables, "base_url", "OPENAI_BASE_URL", "OPENAI_API_KEY")
    if not api_key and not base_url:
        raise ValueError("OpenAI: api_key is missing; set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without keys")
    if base_url:
        name = "model_config: base_url" if given.get("base_url") else "OPENAI_BASE_URL"
        if given.get("base_url"):  # a connection's or a program's address; a variable is mended where it stands
            base_url = without_chat_path(base_url)
        check_base_url(name, base_url)
        _warn_of_plain_http(name, base_url, api_key)
    check_route(base_url or OPENAI)
    service = Service(
        base_url=base_url,
        api_key=api_key or "no-key-needed",  # Ollama, vLLM and llama.cpp ask for none; the client insists on one
        **account_of(given, variables),
        **limits_of(given, variables),
    )
    if given.get("model"):
        return Model(given["model"], service)
    own = base_url is not None and urlsplit(base_url).hostname != "api.openai.com"
    usual = default.get("model", DEFAULT_MODEL)
    name = only_model(str(base_url), service.api_key, usual) if own else usual
    if name == default.get("model") and name != DEFAULT_MODEL:  # the default is in .env.example
        _say_default("OPENAI_MODEL", name)
    return Model(name, service)


def _say_default(variable: str, name: str) -> None:
    warn_once(f"no model is named, so it is {name}, which the prompty names; {variable} in .env names another")


def _azure(given: Mapping[str, Any], variables: ChainMap[str, str], default: Mapping[str, str]) -> Model:
    if "azure_endpoint" not in given and "base_url" in given:
        given = {**given, "azure_endpoint": given["base_url"]}
    endpoint, api_key = _address_and_key(
        given, variables, "azure_endpoint", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"
    )
    deployment = given.get("azure_deployment")
    if not deployment and (deployment := default.get("azure_deployment")):
        _say_default("AZURE_OPENAI_DEPLOYMENT", deployment)
    required = {
        "AZURE_OPENAI_DEPLOYMENT": deployment,
        "AZURE_OPENAI_ENDPOINT": endpoint,
        "AZURE_OPENAI_API_KEY": api_key,
    }
    if missing := [name for name, value in required.items() if not value]:
        raise ValueError(
            f"Azure OpenAI is half configured: {' and '.join(missing)} missing; .env.example shows all four"
        )
    name = "model_config: azure_endpoint" if given.get("azure_endpoint") else "AZURE_OPENAI_ENDPOINT"
    check_azure_endpoint(name, str(endpoint))
    _warn_of_plain_http(name, str(endpoint), api_key)
    check_route(str(endpoint))
    service = Service(
        base_url=endpoint,
        api_key=str(api_key),
        api_version=given.get("api_version")
        or value_of(variables, "AZURE_OPENAI_API_VERSION")
        or DEFAULT_AZURE_API_VERSION,
        **account_of(given, variables),
        **limits_of(given, variables),
    )
    return Model(str(required["AZURE_OPENAI_DEPLOYMENT"]), service)


def _address_and_key(
    given: Mapping[str, Any], variables: ChainMap[str, str], field_name: str, address: str, key: str
) -> tuple[str | None, str | None]:
    """Return the address and the key, of one source: a variable's key never goes to an address of another one."""
    base_url, api_key = given.get(field_name), given.get("api_key")
    if not base_url or (not api_key and base_url == variables.get(address)):
        of_variables = address_and_key(variables, address, key)
        if api_key and of_variables[0] and address not in variables.maps[0] and api_key != of_variables[1]:
            raise ValueError(
                f"model_config has an api_key and no {field_name}, and the address in {dotenv_path()} is another "
                f"source's: write {field_name} in model_config too"
            )
        if base_url in (None, of_variables[0]):
            base_url, api_key = of_variables[0], api_key or of_variables[1]
    if api_key:
        check_key("model_config: api_key" if given.get("api_key") else key, api_key)
    return base_url, api_key


def _warn_of_plain_http(name: str, address: str, api_key: str | None) -> None:
    if api_key and urlsplit(address).scheme == "http" and not is_this_machine(address):
        warn_once(f"{name}: the key travels unencrypted to {shown(address)}; write https:// if the service has it")


@lru_cache(maxsize=1)
def _offline() -> Model:
    """Start the offline model, and say so once."""
    import offline_model  # only who has no other model pays for the server

    base_url = offline_model.start()
    warnings.warn(
        "no model is configured: the answers come from the offline demonstration, a set of fixed rules and no language "
        "model; set OPENAI_API_KEY, or copy .env.example to .env and edit it",
        OfflineModelWarning,
        stacklevel=4,
    )
    return Model(offline_model.MODEL, Service(base_url=base_url, api_key="offline"))
