"""Knows the command line: `python -m offline_model [--port N] [--host ADDRESS]` serves until Ctrl-C or SIGTERM."""

import argparse
import signal
import threading

from offline_model import MODEL
from offline_model.server import LocalServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m offline_model", description="Serve the offline model.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="IPv4 address or name to listen on (default: %(default)s)")
    arguments = parser.parse_args()

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = LocalServer(arguments.host, arguments.port)
    except (OSError, OverflowError, ValueError) as error:  # port taken, port above 65535, bad OFFLINE_MODEL_CHUNK_S
        parser.error(f"cannot serve on {arguments.host}:{arguments.port}: {error}")

    print(f"{MODEL} at {server.url}; export OPENAI_BASE_URL={server.url} OPENAI_API_KEY=offline", flush=True)
    while not stop.wait(0.5):  # on Windows only a wait that ends lets a signal through
        pass
    server.stop()


if __name__ == "__main__":
    main()
