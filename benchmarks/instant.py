"""Flows that answer at once, without a request: what remains is the cost of running lines, for a million of them."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import Any

import check_list
import flow
from flowkit.data.records import Verdict
from flowkit.model.completion import Reply
from flowkit.model.configuration import Model, Service
from flowkit.prompt.prompty import Prompt
from flowkit.report.html import write_page
from flowkit.run.engines import Prompts
from flowkit.run.on_ray import RayEngine
from flowkit.run.options import RunOptions

MODEL = Model("instant", Service("http://127.0.0.1:9/v1", "none"))


class InstantChat:
    """Answer every question with the same fourteen words."""

    model, fingerprint, prompt = MODEL, ("instant", "chat"), Prompt.load(flow.PROMPT)

    def limited(self, at_once: int) -> InstantChat:
        """Return itself: nothing is in flight."""
        return self

    async def stream(self, question: str, history: Any, reply: Reply) -> AsyncGenerator[str, None]:
        """Yield the answer in two pieces."""
        reply.timing.turn()
        for piece in ("Prompt flow is a suite of ", "tools for applications of language models, as asked."):
            reply.timing.chunk()
            yield piece
        reply.timing.end()
        reply.finish_reason, reply.usage = "stop", {"prompt_tokens": 20, "completion_tokens": 16}


class InstantJudge:
    """Give every statement a 4."""

    fingerprint, prompt = ("instant", "judge"), Prompt.load(check_list.PROMPT)

    def limited(self, at_once: int) -> InstantJudge:
        """Return itself: nothing is in flight."""
        return self

    async def verdict(
        self, answer: str, statement: str, context: Any = None, parent: Any = None, paid: Any = None
    ) -> Verdict:
        """Return the verdict."""
        return Verdict(4, "So it seems.")


def main(data: str, out: str) -> None:
    """Run the file on two workers; print what the driver and the run took, as JSON."""
    folder = Path(out)
    start_s = time.perf_counter()
    engine = RayEngine(RunOptions(data, folder, engine="ray", workers=2, concurrency=64, line_timeout=60, quiet=True))
    with closing(engine):
        engine.read(Prompts(InstantChat.prompt, InstantJudge.prompt))
        engine.open(InstantChat(), InstantJudge())
        laid_out_s = time.perf_counter() - start_s
        result = engine.run()
    run_s = time.perf_counter() - start_s - laid_out_s
    rows, figures = result.rows, result.figures
    write_page(folder, rows, figures)
    used = resource.getrusage(resource.RUSAGE_SELF)
    if (figures.judged, len(rows)) != (figures.total, figures.total):
        raise ValueError(f"{figures.judged} of {figures.total} lines were judged")
    found = {"lines": len(rows), "laid out s": laid_out_s, "run s": run_s}
    found |= {"all s": time.perf_counter() - start_s, "driver cpu s": used.ru_utime + used.ru_stime}
    print(json.dumps({**found, "driver peak mb": used.ru_maxrss / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
