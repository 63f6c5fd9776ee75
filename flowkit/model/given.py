"""A model's configuration as a person gives it: promptflow's objects, a dict or JSON text, read as fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

Fields = dict[str, Any]  # of a model configuration, as a person gives them


def fields_of(model_config: Any) -> Fields:
    """Return the fields that have a value. Raises TypeError for what is no configuration."""
    if is_dataclass(model_config) and not isinstance(model_config, type):
        model_config = asdict(model_config)
    if isinstance(model_config, str) and model_config.lstrip().startswith("{"):
        model_config = json.loads(model_config)  # `pf flow test --init` hands it over as text
    if not isinstance(model_config, Mapping):
        expected = "OpenAIModelConfiguration, AzureOpenAIModelConfiguration, a dict of their fields or None"
        raise TypeError(f"model_config must be {expected}, got {type(model_config).__name__}")
    return {name: value for name, value in model_config.items() if value is not None and name != "type"}


def expanded(given: Fields, variables: Mapping[str, str]) -> Fields:
    """Put variables in place of `${env:NAME}`; promptflow itself would send the reference when it is unset."""

    def expand(value: Any) -> Any:
        reference = re.fullmatch(r"\$\{env:(\w+)\}", value) if isinstance(value, str) else None
        if reference is None:
            return value
        if reference[1] not in variables:
            raise ValueError(f"model_config refers to ${{env:{reference[1]}}}, which is not set")
        return variables[reference[1]]

    return {name: expand(value) for name, value in given.items()}
