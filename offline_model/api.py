"""Knows the HTTP interface: paths, keys and errors, in OpenAI's form and in Azure's."""

import asyncio
import json
import math
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from offline_model import MODEL, chat, judge
from offline_model.completion import Completion
from offline_model.request import ChatRequest, RequestError, parse


def create_app() -> Starlette:
    """Return the application. ValueError: OFFLINE_MODEL_CHUNK_S is no number of seconds."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
            Route("/v1/models", list_models),
            Route("/v1/models/{model:path}", show_model),
            Route("/openai/deployments/{deployment}/chat/completions", azure_chat_completions, methods=["POST"]),
        ],
        exception_handlers={
            RequestError: invalid_request,
            HTTPException: no_such_route,
            ClientDisconnect: client_left,
        },
    )
    app.state.pause_s = pause_s()
    return app


def pause_s() -> float:
    """Return the seconds to wait before each streamed event: enough to see it stream, short enough to test with."""
    text = os.environ.get("OFFLINE_MODEL_CHUNK_S", "0.005")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"OFFLINE_MODEL_CHUNK_S must be a number of seconds such as 0.005, got {text!r}")
    return seconds


async def chat_completions(request: Request) -> Response:
    if refusal := refuse_key(request):
        return refusal
    question = parse(await request.body(), default_model=request.path_params.get("deployment"))
    completion = Completion(question, reply(question), created=int(time.time()))
    if not question.stream:
        return as_json(completion.body())
    events = paced(completion.events(), request.app.state.pause_s)
    return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})


async def azure_chat_completions(request: Request) -> Response:
    if not request.query_params.get("api-version"):
        return as_json({"error": {"code": "404", "message": "Resource not found"}}, 404)  # Azure's own words
    return await chat_completions(request)


async def list_models(request: Request) -> Response:
    return refuse_key(request) or as_json({"object": "list", "data": [describe(MODEL)]})


async def show_model(request: Request) -> Response:
    return refuse_key(request) or as_json(describe(request.path_params["model"]))


def describe(model: str) -> dict[str, object]:
    """Return the entry of `model`; every name has one, since configurations made for other models work here too."""
    return {"id": model, "object": "model", "created": 0, "owned_by": "offline_model"}


def reply(question: ChatRequest) -> str:
    """Return the judge's JSON to a judge's prompt, else the assistant's text.

    Where JSON is wanted the text comes as {"answer": text}; of a JSON schema in the request
    only a score that is true or false is heeded.
    """
    texts = question.user_texts
    if texts and (verdict := judge.reply(texts[-1])):
        return judge.passed(verdict) if question.wants_pass else verdict
    answer = chat.reply(texts)
    return json.dumps({"answer": answer}) if question.wants_json else answer


async def paced(events: Iterable[str], seconds: float) -> AsyncIterator[str]:
    for event in events:
        await asyncio.sleep(seconds)
        yield event


def refuse_key(request: Request) -> Response | None:
    """Return the error for a missing key, or for the key `invalid`, by which one can see the failure; else None."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("api-key", "").strip() or (bearer.strip() if scheme.lower() == "bearer" else "")
    if key and key != "invalid":
        return None
    problem = "Incorrect API key provided" if key else "No API key came with the request"
    return error(401, f"{problem}: send any other, such as OPENAI_API_KEY=offline.", code="invalid_api_key")


async def invalid_request(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestError)
    return error(400, str(problem), param=problem.param)


async def no_such_route(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    message = f"{problem.detail}: {request.method} {request.scope['path']}"
    code = "method_not_supported" if problem.status_code == 405 else None
    return error(problem.status_code, message, code=code, headers=problem.headers)


async def client_left(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


def error(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    details = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return as_json({"error": details}, status, headers)


def as_json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # Not starlette's JSONResponse: it fails on half a surrogate pair, which a model name from JSON may contain.
    return Response(json.dumps(body), status, headers, media_type="application/json")
