"""Which model a service has, where nobody named one: asked of its list of models, once per process and address."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flowkit.model.checks import shown
from flowkit.model.route import certificates_for, is_same_server, proxy_for

TIMEOUT_S = 5.0
MOST_NAMED = 10
NO_CHAT = re.compile(r"embed|rerank|whisper|\btts\b", re.IGNORECASE)  # LM Studio lists them beside the others


@lru_cache(maxsize=16)
def only_model(base_url: str, api_key: str, default: str) -> str:
    """Return the only model that `GET /models` lists; `default` where it is listed, or where there is no list.

    Raises ValueError where nobody answers at that address or its proxy, and where the list leaves a choice (with up to
    ten names).
    Blocks for five seconds at the most.
    """
    names = _listed(base_url, api_key)
    if names is None or default in names:
        return default
    if len(names) == 1:
        return names[0]
    if not names:
        raise ValueError(f"{shown(base_url)} lists no model: load one there, or set OPENAI_MODEL")
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    raise ValueError(
        f"OPENAI_MODEL is not set, and {shown(base_url)} has {len(names)} models: "
        f"set it to one of {', '.join(names[:MOST_NAMED])}{more}"
    )


def _listed(base_url: str, api_key: str) -> list[str] | None:
    """Return the names of the service's models, None where its answer is no list of models."""
    import httpx2  # slow to import, and only needed where no model is named

    url = urlsplit(base_url)._replace(path=urlsplit(base_url).path.rstrip("/") + "/models").geturl()
    proxy, verify = proxy_for(base_url), certificates_for(base_url)
    try:
        # Redirects to others are not followed: the key is for this server only.
        with httpx2.Client(
            timeout=TIMEOUT_S, verify=verify, proxy=proxy.url if proxy else None, trust_env=False
        ) as client:
            headers = {"authorization": f"Bearer {api_key}"}
            answer = client.get(url, headers=headers)
            if answer.next_request and is_same_server(str(answer.next_request.url), url):
                answer = client.get(answer.next_request.url, headers=headers)
        body: Any = answer.json() if answer.is_success else None
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        through = f" through the proxy of {proxy.variable}" if proxy else ""
        raise ValueError(f"cannot connect to {shown(base_url)}{through}: is it running?") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None
    return _names(body)


def _names(body: Any) -> list[str] | None:
    if isinstance(body, list):  # Together
        body = {"data": body}
    if not isinstance(body, dict):
        return None
    models = body.get("data", body.get("models"))
    if models is None and body.get("object") == "list":  # Ollama without any model
        return []
    if not isinstance(models, list):
        return None
    ids = [each.get("id") or each.get("name") for each in models if isinstance(each, dict)]
    names = [each for each in ids if isinstance(each, str) and each]
    chat = [name for name in names if not NO_CHAT.search(name)]
    return (chat or names) if ids or not models else None
