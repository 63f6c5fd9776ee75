"""Which model answers: an explicit configuration, else `.env` and the environment, else the offline model."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values, find_dotenv

DEFAULT_MODEL = "gpt-4o-mini"
DEFAULT_AZURE_API_VERSION = "2024-10-21"
PROJECT = Path(__file__).absolute().parents[2]


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
    model_config: Any = None, *, judge: bool = False, connection: Callable[[str], dict[str, Any]] | None = None
) -> Model:
    """Return the model that `model_config` names.

    model_config: promptflow's `OpenAIModelConfiguration` or `AzureOpenAIModelConfiguration`, a dict of either's
    fields (and of `Service`'s limits), a `Model`, or None for what `.env` and the environment say. A value written
    `${env:NAME}` stands for that variable, `connection` names a connection that promptflow keeps.
    connection: returns the fields of a connection, given its name.
    judge: without a configuration, `JUDGE_MODEL` names another model at the same service.
    Raises ValueError where the configuration is incomplete or has a field that nobody reads.
    """
    if isinstance(model_config, Model):
        return model_config
    variables = read_variables()
    if model_config is not None:
        return _from_fields(_expanded(_fields_of(model_config), variables), variables, connection)
    model = _from_variables(variables) or _offline()
    if judge and (name := variables.get("JUDGE_MODEL")):
        model = replace(model, name=name)
    return model


def is_offline(model: Model) -> bool:
    """Say whether that model is the offline demonstration, whose figures measure nothing."""
    import offline_model

    return model.name == offline_model.MODEL


def read_variables() -> dict[str, str]:
    """Return `.env` of the working directory, else of the project; the real environment wins, blanks are unset."""
    found = find_dotenv(usecwd=True) or PROJECT / ".env"
    variables = {**dotenv_values(found), **os.environ}
    return {name: value.strip() for name, value in variables.items() if value and value.strip()}


def _from_variables(variables: Mapping[str, str]) -> Model | None:
    if "OPENAI_API_KEY" in variables or "OPENAI_BASE_URL" in variables:
        return _openai({"model": variables.get("OPENAI_MODEL", DEFAULT_MODEL)}, variables)
    if any(name in variables for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_DEPLOYMENT")):
        return _azure({"azure_deployment": variables.get("AZURE_OPENAI_DEPLOYMENT")}, variables)
    return None


def _from_fields(
    given: dict[str, Any], variables: Mapping[str, str], connection: Callable[[str], dict[str, Any]] | None
) -> Model:
    if name := given.pop("connection", None):
        if connection is None:
            raise ValueError(f"model_config: connection {name!r} is one of promptflow's, and nothing reads those")
        given |= connection(name)
    known = {"model", "azure_deployment", "azure_endpoint", *(each.name for each in fields(Service))}
    if unknown := sorted(set(given) - known):
        raise ValueError(f"model_config: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    is_azure = "azure_deployment" in given or "azure_endpoint" in given
    return _azure(given, variables) if is_azure else _openai(given, variables)


def _openai(given: Mapping[str, Any], variables: Mapping[str, str]) -> Model:
    base_url = given.get("base_url") or variables.get("OPENAI_BASE_URL")
    # The environment's key belongs to the environment's address: it is never sent to another one.
    own_address = base_url == variables.get("OPENAI_BASE_URL")
    api_key = given.get("api_key") or (variables.get("OPENAI_API_KEY") if own_address else None)
    if not api_key and not base_url:
        raise ValueError("OpenAI: api_key is missing; set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without keys")
    service = Service(
        base_url=base_url,
        api_key=api_key or "no-key-needed",  # Ollama, vLLM and llama.cpp ask for none; the client insists on one
        organization=given.get("organization"),
        **_limits(given, variables),
    )
    return Model(given.get("model") or DEFAULT_MODEL, service)


def _azure(given: Mapping[str, Any], variables: Mapping[str, str]) -> Model:
    endpoint = given.get("azure_endpoint") or given.get("base_url") or variables.get("AZURE_OPENAI_ENDPOINT")
    own_address = endpoint == variables.get("AZURE_OPENAI_ENDPOINT")
    required = {
        "AZURE_OPENAI_DEPLOYMENT": given.get("azure_deployment"),
        "AZURE_OPENAI_ENDPOINT": endpoint,
        "AZURE_OPENAI_API_KEY": given.get("api_key")
        or (variables.get("AZURE_OPENAI_API_KEY") if own_address else None),
    }
    if missing := [name for name, value in required.items() if not value]:
        raise ValueError(
            f"Azure OpenAI is half configured: {' and '.join(missing)} missing; .env.example shows all four"
        )
    service = Service(
        base_url=required["AZURE_OPENAI_ENDPOINT"],
        api_key=str(required["AZURE_OPENAI_API_KEY"]),
        api_version=given.get("api_version") or variables.get("AZURE_OPENAI_API_VERSION", DEFAULT_AZURE_API_VERSION),
        **_limits(given, variables),
    )
    return Model(str(required["AZURE_OPENAI_DEPLOYMENT"]), service)


def _limits(given: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the limits asked for: `timeout_s`, `max_retries` and so on, or `MODEL_TIMEOUT_S` and so on."""
    limits: dict[str, Any] = {}
    kinds = {"timeout_s": float, "max_retries": int, "give_up_after_s": float, "max_in_flight": int}
    for name, kind in kinds.items():
        value = given.get(name, variables.get(f"MODEL_{name.upper()}"))
        if value is None:
            continue
        try:
            limits[name] = kind(value)
        except ValueError:
            raise ValueError(f"MODEL_{name.upper()} must be a number, got {value!r}") from None
        if limits[name] < 0:
            raise ValueError(f"MODEL_{name.upper()} must not be negative, got {value!r}")
    return limits


def _fields_of(model_config: Any) -> dict[str, Any]:
    if is_dataclass(model_config) and not isinstance(model_config, type):
        model_config = asdict(model_config)
    if isinstance(model_config, str) and model_config.lstrip().startswith("{"):
        model_config = json.loads(model_config)  # `pf flow test --init` hands it over as text
    if not isinstance(model_config, Mapping):
        expected = "OpenAIModelConfiguration, AzureOpenAIModelConfiguration, a dict of their fields or None"
        raise TypeError(f"model_config must be {expected}, got {type(model_config).__name__}")
    return {name: value for name, value in model_config.items() if value is not None and name != "type"}


def _expanded(given: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Put variables in place of `${env:NAME}`; promptflow itself would send the reference when it is unset."""

    def expand(value: Any) -> Any:
        reference = re.fullmatch(r"\$\{env:(\w+)\}", value) if isinstance(value, str) else None
        if reference is None:
            return value
        if reference[1] not in variables:
            raise ValueError(f"model_config refers to ${{env:{reference[1]}}}, which is not set")
        return variables[reference[1]]

    return {name: expand(value) for name, value in given.items()}


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
