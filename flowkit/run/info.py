"""What the figures of a run are of: who answers and judges, by which prompts, which data and checklist."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from flowkit.data.lines import digest_of
from flowkit.data.records import DataInfo, RunInfo
from flowkit.model.configuration import is_offline
from flowkit.run.options import RunOptions
from flowkit.scores.prices import table

NOBODY = "nobody"


def info_of(options: RunOptions, chat_flow: Any, eval_flow: Any) -> RunInfo:
    """Return it as a run starts; digests tell the versions of a file apart. A flow that is None asks nobody."""
    flows = [flow for flow in (chat_flow, eval_flow) if flow]
    offline = any(is_offline(flow.model) for flow in flows)
    return RunInfo(
        answered_by=chat_flow.model.name if chat_flow else NOBODY,
        judged_by=eval_flow.model.name if eval_flow else NOBODY,
        votes=options.votes,
        offline=offline,
        prompts={flow.prompt.file: flow.prompt.digest for flow in flows},
        data=_info(options.data),
        engine=options.engine,
        checklist=_info(options.checklist) if options.checklist else None,
        prices=None if offline else table(),
    )


def _info(path: str | Path) -> DataInfo:
    return DataInfo(PurePath(path).name, digest_of(Path(path)))
