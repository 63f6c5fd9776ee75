"""Knows how to start the tutorial's embedded default model: an OpenAI-compatible server without key or network.

It is no language model. A few fixed rules answer (`chat.py`) and score (`judge.py`, `scoring.py`), the same way
every time, so that the tutorial runs and can be tested before anybody has a key. `python -m offline_model` runs it
on its own.

The seconds between two streamed chunks are 0.005, or what OFFLINE_MODEL_CHUNK_S says when the server starts.
"""

MODEL = "offline-demo"

__all__ = ["MODEL", "start"]


def start() -> str:
    """Return the base URL of this process's server, such as http://127.0.0.1:40123/v1, starting it if need be.

    It accepts connections once this returns and stops with the process. Safe to call from any thread; a forked
    child starts its own. Any non-empty API key will do. ValueError: OFFLINE_MODEL_CHUNK_S is no number of seconds.
    """
    from offline_model.server import start_once  # here, because uvicorn and starlette take 0.1 s to import

    return start_once()
