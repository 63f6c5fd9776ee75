"""One page of a run, or of a run beside an earlier one: a file that opens from disk and asks no network for anything.

python -m flowkit.report RUN [BASELINE]
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import heapq
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from flowkit.base.errors import BadInputError
from flowkit.base.files import write_whole
from flowkit.base.json_text import JsonObject
from flowkit.base.scale import FIVE, scale_named
from flowkit.base.text import clean
from flowkit.data.figures import Figures, Mean, read_figures
from flowkit.data.labels import Sample, write_sample
from flowkit.data.records import DataInfo, Row, RunInfo, plain
from flowkit.data.rows import read_rows
from flowkit.report.charts import axis, course_chart, mean_chart
from flowkit.report.terminal import ENDED_OTHERWISE
from flowkit.scores.comparison import compare, partners
from flowkit.scores.prices import cost_told
from flowkit.scores.sample import FEWEST, draw

PAGE = Path(__file__).absolute().parent / "page"
MOST_LINES = 5_000  # a browser's memory is not the place for more
NOTHING = "\N{EN DASH}"
MOST_POINTS = 2_000  # of the plot
LONGEST_TEXT = 20_000  # characters
KINDS = [
    ("waited_s", "wait for its turn", "s"),
    ("first_chunk_s", "to its first text", "s"),
    ("total_s", "to its end", "s"),
    ("chunks_per_s", "pieces a second", ""),
    ("tokens_per_s", "tokens a second", ""),
]
UNKNOWN = RunInfo("unknown", "unknown", votes=1, offline=False, prompts={}, data=DataInfo("a run", "unknown"))
NOT_SCORED = Mean(None, 0, 0, None, None, None, None)


def write_report(run: Path, baseline: Path | None = None) -> Path:
    """Write `report.html` into the folder of a run and return its path.

    baseline: the folder of an earlier run, to show the differences line by line.
    Raises BadInputError where a folder holds no run.
    """
    earlier = read_rows(baseline) if baseline else None
    return write_page(run, read_rows(run), read_figures(run), earlier, baseline.name if baseline else "")


def write_page(
    run: Path,
    rows: Sequence[Row],
    figures: Figures,
    earlier: Sequence[Row] | None = None,
    earlier_name: str = "",
) -> Path:
    """Do the same with what is in memory, and write down in sample.json which pairs people are asked to score."""
    path, sample = run / "report.html", draw(rows)
    write_whole(path, clean(render(rows, figures, sample, earlier, earlier_name)).encode())
    write_sample(run, sample)
    return path


def render(
    rows: Sequence[Row], figures: Figures, sample: Sample, earlier: Sequence[Row] | None, earlier_name: str
) -> str:
    """Return the page. Texts of the data and of models get into it escaped, or packed and put in as text by it."""
    if earlier is not None:
        rows = list(rows)  # partners are told by identity
    comparison = compare(rows, earlier) if earlier is not None else None
    chosen = _most_worth_a_look(rows, earlier)
    names = list(dict.fromkeys(name for row in rows for name in row.statements))
    means = {name: figures.statements.get(name, NOT_SCORED) for name in names}
    every = 1 + len(rows) // MOST_POINTS
    parts = ("report.css", "labels.js", "report.js")
    style, labels_script, script = ((PAGE / name).read_text(encoding="utf-8") for name in parts)
    scripts = " ".join(f"'{_digest(each)}'" for each in (labels_script, script))
    environment = Environment(loader=FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "change": _change, "when": _when, "chart": mean_chart}
    return environment.get_template("report.html").render(
        run=figures.run or UNKNOWN,
        figures=figures,
        means=means,
        scales={mean.scale for mean in means.values()},
        endings=[(count, ENDED_OTHERWISE[kind]) for kind, count in plain(figures.endings).items() if count],
        comparison=comparison,
        baseline_name=earlier_name,
        axis=axis(),
        cost=cost_told(figures),
        kinds=KINDS,
        course=course_chart([row.timing for row in rows[::every] if row.timing], every),
        shown=len(chosen),
        left_out=len(rows) - len(chosen),
        sample=sample,
        fewest=FEWEST,
        # The only style and scripts that may take effect are these, and nothing may be loaded from anywhere.
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src {scripts}",
        style=Markup(style),
        labels_script=Markup(labels_script),
        script=Markup(script),
        data=_packed(
            {
                "statements": names,
                "scales": {name: _scale(mean) for name, mean in means.items()},
                "by": figures.by,
                "rows": chosen,
                "compared": comparison is not None,
                "sample": {"run": sample.run, "pairs": plain(sample.pairs)},
                "more": _not_shown(rows, sample, {row["line"] for row in chosen}),
            }
        ),
    )


def _not_shown(rows: Sequence[Row], sample: Sample, shown: Collection[int]) -> list[JsonObject]:
    """Return the rows of the sample that the page does not show in its grid."""
    lines = {pair.line for pair in sample.pairs}.difference(shown)
    return [plain(row) for row in rows if row.line in lines] if lines else []


def _most_worth_a_look(rows: Sequence[Row], earlier: Sequence[Row] | None) -> list[JsonObject]:
    """Return the rows to show: failed, unscored, then the lowest; beside a baseline, the largest change first.

    A row that has a partner in the baseline gets that one's answer and verdicts as `before`.
    """
    before = {id(now): then for now, then in partners(rows, earlier)} if earlier is not None else {}

    def badness(row: Row) -> tuple[float, ...]:
        scores = {name: verdict.score for name, verdict in (row.verdicts or {}).items()}
        given = [row.scale(name).share(score) for name, score in scores.items() if score is not None]
        mean = sum(given) / len(given) if given else 2
        return -_largest_change(row, before.get(id(row))), row.error is None, None not in scores.values(), mean

    def shown(row: Row) -> JsonObject:
        then = before.get(id(row))
        earlier_one = {"before": {"answer": then.answer, "verdicts": plain(then.verdicts)}} if then else {}
        return {**plain(row), "ending": row.ending, **earlier_one}

    return [shown(row) for row in heapq.nsmallest(MOST_LINES, rows, key=badness)]


def _largest_change(now: Row, then: Row | None) -> float:
    """Return the largest change of a score, as a share of its scale."""
    pairs = [(now.score(name), then.score(name), now.scale(name)) for name in now.verdicts or {}] if then else []
    changes = (abs(new - old) / scale.width for new, old, scale in pairs if new is not None and old is not None)
    return max(changes, default=0)


def _scale(mean: Mean) -> JsonObject:
    """Return what the page has to know of a statement's scale: by score, its word and which of five colours it has."""
    scale = scale_named(mean.scale)
    shown = {score: scale.shown(score) for score in scale.scores}
    colours = {score: 1 + round(FIVE.width * scale.share(score)) for score in scale.scores}
    return {"pass_mark": scale.pass_mark, "shown": shown, "colours": colours}


def _packed(data: Any) -> str:
    text = json.dumps(_shortened(data), ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode()


def _shortened(value: Any) -> Any:
    """Cut the texts that no page should hold."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]} … ({len(value):,} characters in all; the rest is in details.jsonl)"
    if isinstance(value, Mapping):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in value] if isinstance(value, list) else value


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _change(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.2f}"


def _when(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC" if moment else "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report and print its path. Returns 2, after one line that says why, for a folder without a run."""
    parser = argparse.ArgumentParser(prog="python -m flowkit.report", description="Write report.html of a run.")
    parser.add_argument("run", type=Path, help="the folder of a run, as batch.py writes it")
    parser.add_argument("baseline", type=Path, nargs="?", help="the folder of an earlier run to compare with")
    options = parser.parse_args(arguments)
    try:
        print(write_report(options.run, options.baseline))
    except BadInputError as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    return 0
