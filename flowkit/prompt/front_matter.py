"""What a prompty's front matter may say: what promptflow knows is done, or refused by name where it cannot be done."""

from __future__ import annotations

from collections.abc import Iterator

from flowkit.base.json_text import JsonObject
from flowkit.base.text import shown

ONE_TEXT = "a flow gives one text, as the model writes it"
REFUSED_PARAMETERS = {
    "tools": ONE_TEXT,
    "tool_choice": ONE_TEXT,
    "functions": ONE_TEXT,
    "function_call": ONE_TEXT,
    "messages": "the template makes the messages",
    "model": "name it under model: configuration:",
    "timeout": "set MODEL_TIMEOUT_S, or timeout_s in model_config",
    "extra_headers": "they are no part of the request's body",
    "extra_query": "it is no part of the request's body",
    "extra_body": "write its fields as parameters",
}


def check_head(head: JsonObject, file: str) -> None:
    """Raise ValueError that names the first key which cannot be done. Other parameters go to the service as they are.

    Only names are checked, and values of which one alone can be done.
    """
    model = head.get("model") or {}
    parameters = model.get("parameters") if isinstance(model, dict) else None
    for name, part in {
        "model": model,
        "model: parameters": parameters or {},
        "inputs": head.get("inputs") or {},
    }.items():
        if not isinstance(part, dict):
            raise ValueError(f"{file}: {name} must have keys of its own, got {shown(part)}")
    for key, why in _refusals(head, model, parameters or {}):
        raise ValueError(f"{file}: {key} cannot be done: {why}; take it out")


def _refusals(head: JsonObject, model: JsonObject, parameters: JsonObject) -> Iterator[tuple[str, str]]:
    if (engine := head.get("template", "jinja2")) != "jinja2":
        yield f"template: {shown(engine)}", "templates are Jinja's"
    if (api := model.get("api", "chat")) != "chat":
        yield f"model: api: {shown(api)}", "only chat is asked"
    if (response := model.get("response", "first")) != "first":
        yield f"model: response: {shown(response)}", ONE_TEXT
    if head.get("outputs") and parameters.get("response_format") == {"type": "json_object"}:
        yield "outputs", f"{ONE_TEXT}, and picks nothing out of its JSON"
    if (count := parameters.get("n")) not in (None, 1):
        yield f"parameters: n: {shown(count)}", ONE_TEXT
    for name, value in parameters.items():
        if name in REFUSED_PARAMETERS and value is not None:
            yield f"parameters: {name}", REFUSED_PARAMETERS[name]
        if isinstance(value, str) and value.startswith("${"):
            yield f"parameters: {name}: {shown(value)}", "write the value itself"
