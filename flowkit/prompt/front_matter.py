"""What a prompty may say: what promptflow knows is done, or refused by name where it cannot be done."""

from __future__ import annotations

import re
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
LIMITS = ("max_tokens", "max_completion_tokens")
MODELS = ("model", "azure_deployment")
SERVICE = ("base_url", "azure_endpoint", "api_key", "connection")
REFERENCE = re.compile(r"\$\{env:(\w+)\}")  # to a variable
# As promptflow reads them, in the template before it is rendered.
IMAGE = re.compile(r"!\[\s*image\s*\]\(\{\{\s*[^\s{}]+\s*\}\}\)")
TOOL_LINE = re.compile(r"^[ \t]*#?[ \t]*(tool|function)[ \t]*:[ \t]*$", re.IGNORECASE | re.MULTILINE)


def check_head(head: JsonObject, file: str) -> None:
    """Raise ValueError that names the first key which cannot be done. Other parameters go to the service as they are.

    Only names are checked, values of which one alone can be done, and the numbers that we compute with.
    """
    model = head.get("model") or {}
    parameters, configuration = (
        (model.get(part) if isinstance(model, dict) else None) or {} for part in ("parameters", "configuration")
    )
    for name, part in {
        "model": model,
        "model: parameters": parameters,
        "model: configuration": configuration,
        "inputs": head.get("inputs") or {},
    }.items():
        if not isinstance(part, dict):
            is_reference = isinstance(part, str) and part.startswith("${")  # all else may have a key in it
            got = shown(part) if is_reference else type(part).__name__
            raise ValueError(f"{file}: {name} must have keys of its own, got {got}; write them into this file")
    for name in LIMITS:
        limit = parameters.get(name)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(
                f"{file}: parameters: {name} must be a whole number above 0, got {shown(limit)}; such as {name}: 512"
            )
    for key, why in _refusals(head, model, parameters, configuration):
        raise ValueError(f"{file}: {key} cannot be done: {why}; take it out")


def check_template(template: str, file: str, first_line: int) -> None:
    """Raise ValueError with the line of an image or of a message from a tool: a request's messages are text.

    first_line: the template's, in the file.
    """
    for what, why in ((IMAGE, "only text is sent"), (TOOL_LINE, f"{ONE_TEXT}, and calls no tool")):
        if found := what.search(template):
            line = first_line + template[: found.start()].count("\n")
            raise ValueError(f"{file} line {line}: {found[0].strip()} cannot be done: {why}; take it out")


def _refusals(
    head: JsonObject, model: JsonObject, parameters: JsonObject, configuration: JsonObject
) -> Iterator[tuple[str, str]]:
    engine = head.get("template") or "jinja2"
    if isinstance(engine, dict):  # {format: jinja2, parser: prompty}
        engine = engine.get("format") or engine.get("type") or "jinja2"
    if engine != "jinja2":
        yield f"template: {shown(engine)}", "templates are Jinja's"
    for name in ("id", "provider", "options"):
        if name in model:
            yield (
                f"model: {name}",
                "it is another format's; name the model under configuration:, the rest as parameters:",
            )
    if (api := model.get("api", "chat")) != "chat":
        yield f"model: api: {shown(api)}", "only chat is asked"
    if (response := model.get("response", "first")) != "first":
        yield f"model: response: {shown(response)}", ONE_TEXT
    for name in MODELS:
        named = configuration.get(name) or ""
        if not isinstance(named, str) or (named.startswith("${") and not REFERENCE.fullmatch(named)):
            yield f"model: configuration: {name}: {shown(named)}", "a name is text, or ${env:NAME} for a variable's"
    for name, declared in (head.get("inputs") or {}).items():
        if isinstance(declared, dict) and declared.get("type") == "image":
            yield f"inputs: {name}: type: image", "only text is sent"
    if head.get("outputs") and parameters.get("response_format") == {"type": "json_object"}:
        yield "outputs", f"{ONE_TEXT}, and picks nothing out of its JSON"
    if (count := parameters.get("n")) not in (None, 1):
        yield f"parameters: n: {shown(count)}", ONE_TEXT
    for name, value in parameters.items():
        if name in REFUSED_PARAMETERS and value is not None:
            yield f"parameters: {name}", REFUSED_PARAMETERS[name]
        if isinstance(value, str) and value.startswith("${"):
            yield f"parameters: {name}: {shown(value)}", "write the value itself"
