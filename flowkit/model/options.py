"""What a configuration may say besides model, address and key: who is billed, and how patient we are."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from flowkit.model.checks import check_key, checked_limit
from flowkit.model.given import Fields
from flowkit.model.variables import value_of


def account_of(given: Mapping[str, Any], variables: ChainMap[str, str]) -> Fields:
    """Return the organization and the project that are billed, where they are said; openai's client checks neither."""
    account: Fields = {}
    for each, variable in (("organization", "OPENAI_ORG_ID"), ("project", "OPENAI_PROJECT_ID")):
        if value := given.get(each) or value_of(variables, variable):
            check_key(f"model_config: {each}" if given.get(each) else variable, value)
            account[each] = value
    return account


def limits_of(given: Mapping[str, Any], variables: Mapping[str, str]) -> Fields:
    """Return the limits asked for: `timeout_s`, `max_retries` and so on, or `MODEL_TIMEOUT_S` and so on."""
    limits: Fields = {}
    for limit in ("timeout_s", "max_retries", "give_up_after_s", "max_in_flight"):
        variable = f"MODEL_{limit.upper()}"
        if limit in given:
            limits[limit] = checked_limit(f"model_config: {limit}", limit, given[limit])
        elif variable in variables:
            limits[limit] = checked_limit(variable, limit, variables[variable])
    return limits
