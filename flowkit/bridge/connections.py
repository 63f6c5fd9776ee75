"""promptflow's connections: which model is asked through one, and what one says of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from flowkit.model.configuration import DEFAULT_MODEL, resolve
from flowkit.model.variables import read_variables

if TYPE_CHECKING:
    from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration

    ModelConfiguration = OpenAIModelConfiguration | AzureOpenAIModelConfiguration | dict[str, Any] | None
else:  # what promptflow reads of a flow's annotation: with its own classes there, it lets nothing else through
    ModelConfiguration = Optional[dict]
OFFLINE_NAME = "offline_demo_connection"  # its address is another one each time, so it is never taken for a real one


def configuration_for(connection: Any, *, judge: bool = False) -> Any:
    """Return the model configuration that names `connection` and, of the environment, the model or deployment.

    judge: `JUDGE_MODEL` names another one.
    """
    from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration

    name = model_name_for(connection, judge=judge)
    if connection.TYPE == "AzureOpenAI":
        return AzureOpenAIModelConfiguration(connection=connection.name, azure_deployment=name)
    return OpenAIModelConfiguration(connection=connection.name, model=name)


def model_name_for(connection: Any, *, judge: bool = False) -> str:
    """Return the model or deployment that the environment names for `connection`, else gpt-4o-mini."""
    if connection.name == OFFLINE_NAME:
        return resolve(judge=judge).name
    variables = read_variables()
    named = "AZURE_OPENAI_DEPLOYMENT" if connection.TYPE == "AzureOpenAI" else "OPENAI_MODEL"
    name: str = variables.get(named, DEFAULT_MODEL)
    return variables.get("JUDGE_MODEL", name) if judge else name


def fields_of_connection(name: str) -> dict[str, Any]:
    """Return the fields of a connection that promptflow keeps."""
    try:
        from promptflow.client import PFClient  # slow to import, and not needed without connections
    except ModuleNotFoundError as error:
        needs = f"connection {name}: only promptflow knows it, and it is not installed: pip install -r requirements.txt"
        raise ValueError(f"{needs}, or give the fields of the service instead, such as base_url ({error})") from None

    connection = PFClient().connections.get(name=name, with_secrets=True)
    if connection.TYPE == "AzureOpenAI":
        return {
            "azure_endpoint": connection.api_base,
            "api_key": connection.api_key,
            "api_version": connection.api_version,
        }
    if connection.TYPE == "OpenAI":
        given = {"api_key": connection.api_key, "base_url": connection.base_url}
        return {**given, "organization": connection.organization}
    raise ValueError(f"connection {name}: expected one of type AzureOpenAI or OpenAI, got {connection.TYPE}")
