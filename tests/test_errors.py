"""Which errors cannot heal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest

from flowkit.model.completion import complete_text
from flowkit.model.errors import hopeless, is_used_up
from tests.chat_server import ChatServer, Status
from tests.test_completion import QUESTION, model_at

OPENAI_QUOTA = {
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "type": "insufficient_quota",
    "param": None,
    "code": "insufficient_quota",
}
GEMINI_MINUTE = "You exceeded your current quota, please check your plan. Please retry in 23.5s."


def failed(status: int, body: Any, headers: dict[str, str] | None = None) -> openai.APIStatusError:
    request = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
    content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    response = httpx2.Response(status, headers=headers, request=request, **content)
    return openai.APIStatusError("failed", response=response, body=body)


@pytest.mark.parametrize(
    "body",
    [
        {"error": OPENAI_QUOTA},
        [{"error": {"code": 429, "message": "Quota exceeded", "details": [{"quotaId": "GenerateRequestsPerDay"}]}}],
        {"error": {"code": "billing_hard_limit_reached", "message": "Billing hard limit has been reached"}},
        {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}},
        {"error": {"message": "Insufficient Balance", "type": "unknown_error"}},
        {"error": {"message": "Insufficient credits. Add more", "code": 402}},
        {"error": "You have exceeded your monthly included credits for Inference Providers."},
        {"error": {"type": "exceeded_current_quota_error", "message": "Your account is suspended"}},
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
        {"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}},
        {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None},
        "You exceeded your current quota",
        {"error": {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free requests"}},
        {"error": {"message": "Budget has been exceeded! Current cost: 26.07", "type": "budget_exceeded"}},
        {"message": "Too many tokens per day, please wait before trying again."},
        {
            "error": {
                "message": "The free tier of the model has been exhausted.",
                "code": "AllocationQuota.FreeTierOnly",
            }
        },
        {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 2.10:23:12."},
        {"errors": [{"message": "you have used up your daily free allocation of 10,000 neurons"}]},
        {
            "error": {
                "code": "RateLimitReached",
                "message": "Rate limit of 50 per 86400s exceeded for UserByModelByDay.",
            }
        },
        {"error": {"code": "insufficient_user_quota", "message": "no"}},
        {
            "error": {
                "message": "You have reached your specified API usage limits. You will regain access on 2026-12-01."
            }
        },
        {"error": {"code": "1308", "message": "Usage limit reached for 5 hour. Your limit will reset at 12:00"}},
        {"error": {"code": "1310", "message": "Weekly/Monthly Limit Exhausted. Your limit will reset at 12:00"}},
        {"error": {"type": "rate_limit_error", "message": "Number of tokens has exceeded your daily rate limit"}},
        {"error": {"message": "Your account org-x request reached TPD rate limit, current: 15, limit: 15"}},
        {"error": "You have reached the free monthly usage limit for hf-inference."},
        {"errors": {"message": "You have exceeded today's quota for model m, please try again tomorrow"}},
        {"error": {"code": "SetLimitExceeded", "type": "TooManyRequests", "message": "the service was paused"}},
    ],
)
def test_a_used_up_quota_is_known_by_its_words_in_every_form(body: Any) -> None:
    assert is_used_up(body)
    assert is_used_up(json.dumps(body, ensure_ascii=False).encode())
    assert hopeless(failed(429, body)) == "the quota is used up"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Rate limit reached for requests", "code": "rate_limit_exceeded"}},
        {"error": {"message": "Rate limit reached on tokens per day (TPD): Please try again in 7m12s."}},
        [{"error": {"code": 429, "message": GEMINI_MINUTE, "status": "RESOURCE_EXHAUSTED"}}],
        "slow down",
        b"\xff\xfe",
        None,
    ],
)
def test_a_limit_that_heals_is_no_used_up_quota(body: Any) -> None:
    assert not is_used_up(body)
    assert hopeless(failed(429, body if not isinstance(body, bytes) else "?")) is None


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, {"message": "Incorrect API key provided"}, "the key is refused"),
        (403, "Forbidden", "the key is refused"),
        (402, "Payment Required", "the quota is used up"),
        (400, {"message": "Your credit balance is too low"}, "the quota is used up"),
        (404, "404 page not found", "the model or the path is not there"),
        (405, "Method Not Allowed", "the model or the path is not there"),
        (400, {"code": "model_not_found", "message": "no such model"}, "the model is not there"),
        (400, {"message": "x is not a valid model ID"}, "the model is not there"),
        (400, {"message": "Invalid model name passed in model=x. Call `/v1/models`"}, "the model is not there"),
        (400, {"code": "model_decommissioned", "message": "no longer supported"}, "the model is not there"),
        (400, [{"error": {"details": [{"reason": "API_KEY_INVALID"}], "message": "no"}}], "the key is refused"),
        (403, {"code": "insufficient_user_quota", "message": "no"}, "the quota is used up"),
        (403, {"reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}, "the quota is used up"),
        (403, {"error": "Your newly created teams doesn't have any credits yet."}, "the quota is used up"),
        (503, {"code": "model_not_found", "message": "no channel for this model"}, "the model is not there"),
        (400, {"code": "1211", "message": "模型不存在"}, "the model is not there"),
        (403, b"<!DOCTYPE html><title>Attention Required!</title>", None),
        (403, {"message": "Your input was flagged by moderation"}, None),
        (400, {"message": "maximum context length exceeded"}, None),
        (500, "broken", None),
        (503, {"message": "model is overloaded"}, None),
    ],
)
def test_an_error_is_hopeless_when_no_line_can_do_better(status: int, body: Any, sentence: str | None) -> None:
    assert hopeless(failed(status, body)) == sentence


def test_a_wait_beyond_our_patience_is_hopeless_and_a_short_one_is_not() -> None:
    refused = {"retry-after": "3600", "x-should-retry": "false"}
    assert "retry-after: 3600" in (hopeless(failed(429, "slow down", refused)) or "")
    assert hopeless(failed(429, "slow down", {"retry-after": "3"})) is None


def test_an_error_within_a_stream_names_its_status_as_a_code() -> None:
    request = httpx2.Request("POST", "http://127.0.0.1/")
    assert hopeless(openai.APIError("no", request, body={"code": 401, "message": "no"})) == "the key is refused"
    assert hopeless(openai.APIError("no", request, body={"code": "overloaded"})) is None


def test_what_is_no_error_of_a_service_is_not_hopeless() -> None:
    assert hopeless(ValueError("no")) is None
    assert hopeless(openai.APIConnectionError(request=httpx2.Request("POST", "http://127.0.0.1/"))) is None


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (Status(401, "Incorrect API key provided"), "the key is refused"),
        (
            Status(404, "The model `m` does not exist", error_code="model_not_found"),
            "the model or the path is not there",
        ),
        (Status(402, "Payment Required"), "the quota is used up"),
        (Status(429, "slow down", headers=[("retry-after", "3600")]), "the service asks to wait longer than we would"),
    ],
    ids=lambda value: getattr(value, "message", None),
)
def test_a_real_reply_is_known_to_be_hopeless_after_one_request(
    server: ChatServer, status: Status, sentence: str
) -> None:
    server.usual = status
    with pytest.raises(openai.APIStatusError) as raised:
        asyncio.run(complete_text(model_at(server), QUESTION, {}))
    assert (hopeless(raised.value) or "").startswith(sentence)
    assert len(server.requests) == 1
