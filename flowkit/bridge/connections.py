"""A promptflow connection to ask through: the person's own, else one made of what `.env` and the environment say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from flowkit.model.configuration import DEFAULT_MODEL, Model, is_offline, resolve
from flowkit.model.variables import read_variables

NAME = "open_ai_connection"
if TYPE_CHECKING:
    from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration

    ModelConfiguration = OpenAIModelConfiguration | AzureOpenAIModelConfiguration | dict[str, Any] | None
else:  # what promptflow reads of a flow's annotation: with its own classes there, it lets nothing else through
    ModelConfiguration = Optional[dict]
OFFLINE_NAME = "offline_demo_connection"  # its address is another one each time, so it is never taken for a real one


def get_or_create_connection(client: Any) -> Any:
    """Return the connection `open_ai_connection`. One that exists is used as it is and never overwritten.

    Else it is made of the configured model's service; without one, the connection is `offline_demo_connection`.
    """
    if any(connection.name == NAME for connection in client.connections.list()):
        return client.connections.get(name=NAME)
    return client.connections.create_or_update(_connection_to(resolve()))


def configuration_for(connection: Any) -> Any:
    """Return the model configuration that names `connection` and, of the environment, the model or deployment."""
    from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration

    variables = read_variables()
    if connection.TYPE == "AzureOpenAI":
        deployment = variables.get("AZURE_OPENAI_DEPLOYMENT", DEFAULT_MODEL)
        return AzureOpenAIModelConfiguration(connection=connection.name, azure_deployment=deployment)
    model = resolve().name if connection.name == OFFLINE_NAME else variables.get("OPENAI_MODEL", DEFAULT_MODEL)
    return OpenAIModelConfiguration(connection=connection.name, model=model)


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


def _connection_to(model: Model) -> Any:
    from promptflow.connections import AzureOpenAIConnection, OpenAIConnection

    service = model.service
    if service.api_version:
        return AzureOpenAIConnection(
            name=NAME, api_key=service.api_key, api_base=service.base_url, api_version=service.api_version
        )
    name = OFFLINE_NAME if is_offline(model) else NAME
    return OpenAIConnection(name=name, api_key=service.api_key, base_url=service.base_url)
