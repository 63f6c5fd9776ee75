"""The model and the service that a prompty names: what it says is what happens, or it is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flowkit.prompt.front_matter import REFERENCE
from flowkit.prompt.prompty import Prompt

OPENAI = {"base_url": "OPENAI_BASE_URL", "api_key": "OPENAI_API_KEY"}
AZURE = {"azure_endpoint": "AZURE_OPENAI_ENDPOINT", "api_key": "AZURE_OPENAI_API_KEY"}
TUTORIALS_CONNECTION = "open_ai_connection"  # in the prompties of the tutorial, which run without one as well


def models_of(prompt: Prompt, model_config: Any, variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return the "model" and "azure_deployment" that the prompt's file names; `resolve` takes them as its default.

    model_config: as the flow got it. Given, it says what is asked, and the prompt's service is passed over, as by
    promptflow. variables: what `${env:NAME}` may stand for.
    Raises ValueError where there is no `model_config` and the prompt names an address, a key or a connection, unless
    it is by the variable that is read for it; and at a name's look-up where its variable is not set.
    """
    if model_config is None:
        _check_service(prompt, variables)
    return _Models(prompt, variables)


class _Models(Mapping[str, str]):
    """The names; a variable is looked up only when its name is needed, for a configuration may name another model."""

    def __init__(self, prompt: Prompt, variables: Mapping[str, str]) -> None:
        self._prompt, self._variables = prompt, variables

    def __getitem__(self, key: str) -> str:
        name = self._prompt.models[key]
        reference = REFERENCE.fullmatch(name)
        if reference is None:
            return name
        if reference[1] not in self._variables:
            raise ValueError(
                f"{self._prompt.file}: model: configuration: {key}: {name} is a variable that is not set; set it, or "
                f"write the name itself"
            )
        return self._variables[reference[1]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._prompt.models)

    def __len__(self) -> int:
        return len(self._prompt.models)


def _check_service(prompt: Prompt, variables: Mapping[str, str]) -> None:
    """Raise for what the prompt says of its service and what does not happen. Its values are not shown."""
    is_openai = any(name in variables for name in OPENAI.values())
    is_azure = not is_openai and any(name in variables for name in (*AZURE.values(), "AZURE_OPENAI_DEPLOYMENT"))
    read = [kind for kind, other_is_asked in ((OPENAI, is_azure), (AZURE, is_openai)) if not other_is_asked]
    for key, value in prompt.service.items():
        if (key, value) == ("connection", TUTORIALS_CONNECTION):
            continue
        named = [f"${{env:{kind[key]}}}" for kind in read if key in kind]
        if value not in named:
            instead = f"write {' or '.join(named)}, " if named else "take it out, "
            raise ValueError(
                f"{prompt.file}: model: configuration: {key} is not what is asked: a key and its address come from "
                f"model_config, else from the variables; {instead}or give it in model_config"
            )
