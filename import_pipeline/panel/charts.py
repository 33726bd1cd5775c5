"""Bars, gauges and the chart of a page, as shapes that the templates draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from import_pipeline.importer.monitoring.view import ImportView, permits_left
from import_pipeline.ratelimit import TierUsage

MOST_BARS = 60
#: Percent of the height of the shortest bar in a source's history.
SHORTEST_BAR = 6.0
LEAST_VISIBLE = 0.7  #: per cent of a bar


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section of a bar, in per cent."""

    name: str
    start: float
    size: float


def progress_parts(view: ImportView) -> list[Part]:
    """Return the sections of a progress bar: imported, unchanged, left out (skipped or gone), failed."""
    row, total = view.row, view.row.items_count
    counted = (
        ("imported", row.items_imported_count),
        ("unchanged", row.items_unchanged_count),
        ("left-out", row.items_skipped_count + row.items_gone_count),
        ("failed", row.items_failed_count),
    )
    return _sections(counted, max(total or 0, view.done))


def duration_parts(view: ImportView) -> list[Part]:
    """Return the sections of a duration: active, sleeping, waiting for retries, and away (without a process)."""
    figures = view.figures
    counted = (
        ("active", figures.active_seconds),
        ("sleeping", figures.total_sleep_seconds),
        ("retrying", figures.retry_wait_seconds),
        ("away", figures.away_seconds),
    )
    return _sections(counted, figures.duration_seconds)


@dataclass(frozen=True)
class Bar:
    """An import in the strip of a source's history: its height is its share of the longest duration, in percent."""

    view: ImportView
    height: float


def strip_of(latest: Sequence[ImportView]) -> list[Bar]:
    """Return the bars of a source's latest imports, oldest first."""
    longest = max((view.figures.duration_seconds for view in latest), default=0.0)
    share = 100.0 / longest if longest else 0.0
    return [Bar(view, round(max(SHORTEST_BAR, share * view.figures.duration_seconds), 1)) for view in reversed(latest)]


def gauge_parts(tier: TierUsage) -> list[Part]:
    """Return the section of a gauge: the permits left in a tier."""
    return _sections((("left", permits_left(tier)),), tier.amount)


def _sections(counted: Sequence[tuple[str, float]], whole: float) -> list[Part]:
    parts, start = [], 0.0
    for name, size in counted:
        share = 100.0 * size / whole if whole else 0.0
        # Failed items stay visible even in a tiny share.
        shown = max(share, LEAST_VISIBLE) if name == "failed" and share else share
        if share:
            parts.append(Part(name=name, start=round(min(start, 100.0 - shown), 2), size=round(shown, 2)))
        start += share
    return parts


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Items finished per second, as bars in a square of 100 x 100."""

    bars: tuple[tuple[float, float, float, float], ...]  #: x, y, width, height
    most: float  #: items per second of the highest bar
    seconds: float  #: from the start of the first bar to the end of the last one


def chart_of(finished_at: Sequence[datetime], until: datetime) -> Chart | None:
    """Return the latest items as bars that end at `until`; None for too few items or too short a time."""
    ages = sorted(age for at in finished_at if (age := (until - at).total_seconds()) >= 0)
    if len(ages) < 2 or ages[-1] < 1:
        return None
    width = max(1.0, -(-ages[-1] // MOST_BARS))
    number = int(ages[-1] // width) + 1
    counts = [0] * number
    for age in ages:
        counts[number - 1 - int(age // width)] += 1
    most = max(counts)
    step = 100.0 / number
    heights = [round(100.0 * count / most, 2) for count in counts]
    bars = tuple(
        (round(place * step, 2), round(100 - height, 2), round(step * 0.86, 2), height)
        for place, height in enumerate(heights)
        if height
    )
    return Chart(bars=bars, most=most / width, seconds=number * width)
