"""What an error of a request says: what happened, in the service's own words, which model was asked and where."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import httpx2
import openai

from flowkit.base.text import clean, in_one_line
from flowkit.model.configuration import Model
from flowkit.model.errors import body_of
from flowkit.model.route import OPENAI, proxy_for
from flowkit.model.words import PAGE, address, place, said, without_secrets

# What a connection raises: httpx2's errors, and aiohttp's where httpx2's transport lets them through.
BROKEN = (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError)
# aiohttp tells exactly what happened; httpx2's transport makes a "ConnectTimeout" of a lost connection too.
UNREACHABLE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
TIMEOUTS = (asyncio.TimeoutError, TimeoutError, httpx2.TimeoutException)
Error = TypeVar("Error", bound=openai.APIError)


@contextmanager
def causes_named(model: Model) -> Iterator[None]:
    """Let an error say what happened where, and never the key, which services like to repeat."""
    try:
        yield
    except BROKEN as error:
        raise _broken(model, error) from error
    except asyncio.TimeoutError as error:
        limit = f"{model.service.give_up_after_s:g} s, retries included"
        raise TimeoutError(clean(f"{place(model)} did not begin to answer within {limit}")) from error
    except openai.APIConnectionError as error:
        if error.__cause__ is None:
            _named(error, error.message, model)
            raise
        raise _broken(model, error.__cause__) from error.__cause__
    except openai.APIStatusError as error:
        words = said(body_of(error), model.service) or "(no words)"
        hint = _hint(model) if error.status_code in (404, 405) else ""
        _named(error, f"Error code: {error.status_code} - {words}", model, hint)
        raise
    except openai.APIError as error:
        words = said(error.body, model.service)
        what = without_secrets(error.message, model.service)
        hint = _hint(model) if isinstance(error.body, str) and PAGE.match(error.body) else ""
        _named(error, f"{what}: {words}" if words else what, model, hint)
        raise


def _hint(model: Model) -> str:
    """Return what may be wrong with an address where no service of OpenAI's kind is."""
    has_path = urlsplit(model.service.base_url or OPENAI).path.strip("/")
    return "" if has_path or model.service.api_version else "; does the address need /v1 at its end?"


def is_silence(error: BaseException) -> bool:
    """Say whether the service said nothing for as long as we wait; a connection that broke is no silence."""
    causes = _causes(error)
    if any(isinstance(each, UNREACHABLE) for each in causes):
        return False
    return isinstance(error, asyncio.TimeoutError) or isinstance(causes[-1], TIMEOUTS)


def _broken(model: Model, error: BaseException) -> openai.APIConnectionError:
    """Return the error of a connection by what happened to it: unreachable, silent or lost."""
    url = model.service.base_url or OPENAI
    request = httpx2.Request("POST", url)
    if is_silence(error):
        silent = openai.APITimeoutError(request)
        return _named(silent, f"the service said nothing for {model.service.timeout_s:g} s", model)
    causes = _causes(error)
    if any(isinstance(each, ssl.SSLError) for each in causes):
        text = f"no secure connection to {address(model.service)}"
    elif any(isinstance(each, UNREACHABLE) for each in causes):
        through = f" through the proxy of {proxy.variable}" if (proxy := proxy_for(url)) else ""
        text = f"cannot connect to {address(model.service)}{through}: is it running?"
    else:
        text = "the connection was lost before the answer was there"
    cause = without_secrets(str(causes[-1]) or type(causes[-1]).__name__, model.service)
    return _named(openai.APIConnectionError(request=request), text, model, f": {in_one_line(cause, 200)}")


def _causes(error: BaseException) -> list[BaseException]:
    """Return `error` and what it was raised from; the last one is the cause of all."""
    return [error, *_causes(error.__cause__)] if error.__cause__ is not None else [error]


def _named(error: Error, text: str, model: Model, more: str = "") -> Error:
    error.message = clean(f"{text} ({place(model)}{more})")
    error.args = (error.message,)
    return error
