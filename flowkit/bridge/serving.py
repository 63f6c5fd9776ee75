"""Guarded repairs of promptflow's web server, `pf flow serve`: an answer that fails is an error there too."""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import ModuleType
from typing import Any

import wrapt

from flowkit.bridge.replacement import originals, replace

log = logging.getLogger(__name__)
ADVICE = (
    "this flow streams, and promptflow's default engine, Flask, cannot: start the server with "
    "`pf flow serve --source . --engine fastapi`, or ask for application/json"
)


async def _events(self: Any) -> AsyncGenerator[str, None]:
    """End a stream that fails with an error event. The original just ends, as if the answer were finished."""
    events: AsyncGenerator[str, None] = originals["ResponseCreator.generate_async"](self)
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except Exception as error:
        log.error("the answer failed amid its stream: %s: %s", type(error).__name__, error)
        module = importlib.import_module("promptflow._utils.exception_utils")
        told = module.ErrorResponse.from_exception(error).to_simplified_dict()  # as where the request asks for JSON
        yield f"event: error\ndata: {json.dumps(told)}\n\n"


def _refuse_streams(self: Any) -> None:
    """Say what to write instead."""
    module = importlib.import_module("promptflow.exceptions")
    super(type(self), self).__init__(ADVICE, target=module.ErrorTarget.SERVING_APP)


# From here on: what is imported already is repaired at once, so all of the above has to be defined.


@wrapt.when_imported("promptflow.core._serving.response_creator")
def _repair_streams(module: ModuleType) -> None:
    replace(module.ResponseCreator, "generate_async", _events, "3c4387507d605da5")


@wrapt.when_imported("promptflow.core._serving._errors")
def _repair_advice(module: ModuleType) -> None:
    replace(module.AsyncGeneratorOutputNotSupported, "__init__", _refuse_streams, "c89ee128a73c2d71")


@wrapt.when_imported("promptflow.core._serving.v1.blueprint.static_web_blueprint")
def _repair_page(module: ModuleType) -> None:
    """Give the chat page of the engine Flask the module that it uses and does not import."""
    vars(module).setdefault("os", os)
