"""Two charts of a run, drawn as SVG: the means of its statements, the times over its course."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from flowkit.base.scale import FIVE, scale_named
from flowkit.data.figures import Mean
from flowkit.data.records import Times

WIDTH, HEIGHT = 176, 24  # of a statement's chart
LEFT, SCALE = 12, (WIDTH - 24) / 4  # where 1 is, and how far each whole number from the next
COURSE_WIDTH, COURSE_HEIGHT, MARGIN = 560, 200, 52


def mean_chart(mean: Mean) -> Markup:
    """Draw a mean from one end of its scale to the other, its interval, and the bounds that missing scores leave."""
    scale = scale_named(mean.scale)

    def x(score: float) -> float:
        return _x(FIVE.lowest + FIVE.width * scale.share(score))

    parts = [Markup('<line class="tick" x1="{0}" x2="{0}" y1="2" y2="22"/>').format(_x(score)) for score in FIVE.scores]
    if scale is not FIVE:
        ends = ((4, scale.lowest), (WIDTH - 4, scale.highest))
        parts += [Markup('<text x="{}" y="16" text-anchor="middle">{}</text>').format(*end) for end in ends]
    if mean.lowest is not None and mean.highest is not None:
        left, right = x(mean.lowest), x(mean.highest)
        bar = Markup('<rect class="bounds" x="{}" y="7" width="{}" height="10" rx="2"/>')
        parts.append(bar.format(left, round(max(right - left, 0), 1)))
    if mean.ci95:
        parts.append(Markup('<path class="interval" d="M{0} 8v8m0-4H{1}m0-4v8"/>').format(*map(x, mean.ci95)))
    if mean.mean is not None:
        parts.append(Markup('<circle class="mean" cx="{}" cy="12" r="3.5"/>').format(x(mean.mean)))
    said = "no score" if mean.mean is None else f"mean {mean.mean:.2f} from {scale.lowest} to {scale.highest}"
    drawn = Markup("").join(parts)
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(WIDTH, HEIGHT, said, drawn)


def axis() -> Markup:
    """Write 1 to 5 where `mean_chart` has them."""
    digits = (Markup('<text x="{}" y="17" text-anchor="middle">{}</text>').format(_x(n), n) for n in range(1, 6))
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="1 to 5">{}</svg>').format(
        WIDTH, HEIGHT, Markup("").join(digits)
    )


def course_chart(timings: Sequence[Times], every: int = 1) -> Markup:
    """Draw each answer's seconds to its first text and to its end, in the order they were asked for.

    every: of how many answers `timings` has one.
    """
    points = sorted(timings, key=lambda timing: timing.asked_at)
    longest_s = max((timing.total_s or 0 for timing in points), default=0) or 1
    across, up = COURSE_WIDTH - MARGIN - 8, COURSE_HEIGHT - MARGIN - 12

    def path(kind: str) -> str:
        """A point is a line of no length: a thousand of them take 15 KB."""
        places = [
            (MARGIN + across * (i + 0.5) / len(points), COURSE_HEIGHT - MARGIN - up * seconds / longest_s)
            for i, timing in enumerate(points)
            if (seconds := getattr(timing, kind)) is not None
        ]
        return "".join(f"M{x:.0f} {y:.1f}h0" for x, y in places)

    bottom = COURSE_HEIGHT - MARGIN
    lines = Markup("").join(
        Markup(
            '<line class="tick" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{:.2g} s</text>'
        ).format(MARGIN, COURSE_WIDTH - 8, y, y, MARGIN - 6, y + 4, longest_s * share)
        for share in (0, 0.5, 1)
        for y in [round(bottom - up * share, 1)]
    )
    said = "Seconds to the first text and to the end of each answer, in the order they were asked for"
    sampled = f" one answer in {every} is drawn" if every > 1 else ""
    return Markup(
        '<figure class="course{}"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<path class="total" d="{}"/><path class="first" d="{}"/>'
        '<text x="{}" y="{}">first asked</text><text x="{}" y="{}" text-anchor="end">last asked</text></svg>'
        '<figcaption><span><i class="key first"></i>to the first text</span>'
        ' <span><i class="key"></i>to the end</span>{}'
        "</figcaption></figure>"
    ).format(
        " many" if len(points) > 100 else "",
        *(COURSE_WIDTH, COURSE_HEIGHT, said, lines, Markup(path("total_s")), Markup(path("first_chunk_s"))),
        *(MARGIN, COURSE_HEIGHT - 14, COURSE_WIDTH - 8, COURSE_HEIGHT - 14, sampled),
    )


def _x(score: float) -> float:
    return round(LEFT + (score - 1) * SCALE, 1)
