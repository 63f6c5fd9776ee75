"""The same two classes on Ray Data: shards of lines go to worker processes, on this machine or many."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError as RayError

from flowkit.base import exporting
from flowkit.run.shards import Shard, run_shard
from flowkit.scores.sums import Sums

PROJECT = Path(__file__).absolute().parents[2]
# Ray sends the folder to the workers, 500 MB at most: the code, neither secrets nor data, and nothing of other packages
# where this one is installed beside them.
LEFT_AT_HOME = ["/*", "!/.", "!/flowkit", "!/offline_model", "!/*.py", "!/*.prompty", "__pycache__"]
SHARDS_PER_TASK = 4  # a worker has them under way together, so that it seldom waits for the last lines of one


@dataclass(frozen=True)
class Cluster:
    """Where to run. address: of a running cluster ("auto": the one on this machine), None to start one here.

    workers: processes, None for one a CPU. at_once: requests in flight of all workers together.
    """

    address: str | None
    workers: int | None
    at_once: int


class Worker:
    """What runs in a worker process, for all the shards that it gets: one event loop, one client, one limit."""

    def __init__(
        self,
        chat_flow: Any,
        eval_flow: Any,
        folder: Path,
        at_once: int,
        limit_s: float | None,
        suffix: str,
        by: str | None,
    ) -> None:
        flows = [flow and flow.limited(at_once) for flow in (chat_flow, eval_flow)]
        self._shared = *flows, asyncio.Semaphore(at_once), limit_s, suffix, by
        self._folder = folder

    async def __call__(self, batch: dict[str, Any]) -> Any:
        """Yield the sums of each shard, as JSON text."""
        for number in batch["shard"]:
            sums = await run_shard(Shard(self._folder, int(number)), *self._shared)
            await asyncio.to_thread(exporting.flush)  # Ray kills its workers, and then nothing is sent any more
            yield {"sums": [json.dumps(sums.as_dict())]}


def run_shards(
    cluster: Cluster,
    folder: Path,
    shards: int,
    chat_flow: Any,
    eval_flow: Any,
    limit_s: float | None,
    suffix: str = ".jsonl",
    by: str | None = None,
    on_done: Callable[[int], object] = lambda lines: None,
) -> Sums:
    """Run all shards of a run and return their sums; of each only its sums come back here.

    A worker that dies is replaced by Ray, and its shard goes on from its journal. by: a column to group the
    rows by. on_done: is told of lines done.
    """
    workers, cpus = start(cluster)
    workers = min(workers, shards)
    tasks = min(shards, max(2 * workers, shards // SHARDS_PER_TASK))
    data = ray.data.from_items([{"shard": number} for number in range(shards)], override_num_blocks=tasks)
    done = data.map_batches(
        Worker,
        fn_constructor_args=(chat_flow, eval_flow, folder.absolute(), cluster.at_once // workers, limit_s, suffix, by),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=min(1.0, cpus / workers),
    )
    sums = Sums()
    for row in done.iter_rows():
        found = Sums.from_dict(json.loads(row["sums"]))
        sums.add(found)
        on_done(found.lines["total"])
    return sums


def start(cluster: Cluster) -> tuple[int, float]:
    """Join the cluster, or start one of this machine. Returns how many workers to run, and its CPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its maker otherwise
    quietly: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not ray.is_initialized():
        if cluster.address:
            code = {"working_dir": str(PROJECT), "excludes": LEFT_AT_HOME}
            ray.init(address=cluster.address, runtime_env=code, **quietly)
        else:
            ray.init(include_dashboard=False, **quietly)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    cpus = ray.cluster_resources().get("CPU", 1.0)
    wanted = cluster.workers or int(cpus)
    return max(1, min(wanted, cluster.at_once)), cpus
