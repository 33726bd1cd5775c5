"""The progress of an import and its use of the limits. Plain numbers in, plain numbers out."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


def percent_done(done: int, total: int | None) -> float | None:
    """Return the percentage of items that need no more work; None while the total is unknown."""
    if total is None:
        return None
    return 100.0 if total <= 0 else min(100.0, 100.0 * done / total)


@dataclass(frozen=True, kw_only=True)
class TimeParts:
    """The parts of an import's duration in seconds. None is below zero, and they add up to the duration."""

    active: float  #: the rest: requests were sent and answers stored
    sleeping: float  #: a worker waited for a permit or for the API's pause
    away: float  #: there was no worker
    retrying: float  #: only the next tries of failed items were waited for


def time_parts(duration: float, *, sleeping: float, away: float, retrying: float) -> TimeParts:
    """Divide a duration. The parts were measured by different clocks, so each is cut to what the others leave."""
    parts, left = [], max(0.0, duration)
    for seconds in (sleeping, away, retrying):
        parts.append(max(0.0, min(seconds, left)))
        left -= parts[-1]
    return TimeParts(active=left, sleeping=parts[0], away=parts[1], retrying=parts[2])


def away_seconds(silence_seconds: float, slept_seconds: float) -> float:
    """Return the seconds without a worker between two workers, apart from sleep that is counted.

    A wait that a dead worker had begun counts as sleep up to its planned end.
    """
    return max(0.0, silence_seconds - max(0.0, slept_seconds))


#: A worker sends a heartbeat each second. If the wall clock shows a longer gap than this, the clock was set.
MAX_BEAT_GAP = 5.0


def elapsed_seconds(
    counted: float | None,
    *,
    started_at: datetime | None,
    heard_at: datetime | None,
    until: datetime,
    is_running: bool,
    has_worker: bool,
) -> float:
    """Return the seconds that an import has taken, as its workers counted them by a monotonic clock.

    While it runs, the seconds since its latest heartbeat come from the wall clock. Without a count (it has just begun)
    all come from the wall clock. Never below zero.
    """
    if counted is None or heard_at is None:
        return max(0.0, (until - started_at).total_seconds()) if started_at else 0.0
    since = max(0.0, (until - heard_at).total_seconds()) if is_running else 0.0
    return max(0.0, counted) + (min(since, MAX_BEAT_GAP) if has_worker else since)


def efficiency(hits: int, sleeps: int) -> float | None:
    """Return 100 x sleeps / (hits + sleeps): the share of waits that no 429 forced; None without any wait."""
    return None if hits + sleeps == 0 else 100.0 * sleeps / (hits + sleeps)


def incomplete_reason(discovered: int, total: int | None, stopped_early: str | None = None) -> str | None:
    """Return why an ending import is incomplete; None if it found all items that the list announces."""
    if stopped_early:
        return stopped_early
    if total is not None and discovered < total:
        return f"the list says {total} items, {discovered} were found on its pages"
    return None


class Grade(StrEnum):
    """The efficiency as a word."""

    EXCELLENT = "excellent"  #: over 90 per cent
    FAIR = "fair"  #: 50 to 90
    POOR = "poor"  #: under 50


def grade(percent: float | None) -> Grade | None:
    """Return the word for an efficiency; None without one."""
    if percent is None:
        return None
    if percent > 90:
        return Grade.EXCELLENT
    return Grade.FAIR if percent >= 50 else Grade.POOR


def requests_left(
    *,
    total: int | None,
    seen: int,
    unfinished: int,
    unchanged: int,
    per_page: int,
    listed: bool,
    details: bool = True,
    per_request: int = 1,
) -> int | None:
    """Return the number of requests left, for list pages and details; None while the total is unknown.

    `seen` items were found so far; `unfinished` of them still need details, `per_request` of them in one request.
    `unchanged` items needed none; the same share of the items not found yet is assumed to be unchanged. `listed`: the
    list was read to its end. `details`: False if only the list is imported.
    """
    if listed:
        return math.ceil(unfinished / per_request) if details else 0
    if total is None:
        return None
    unseen = max(0, total - seen)
    changed = 1.0 if not seen else 1.0 - unchanged / seen
    pages = max(1, math.ceil(unseen / per_page))
    return pages + (math.ceil((unfinished + math.ceil(unseen * changed)) / per_request) if details else 0)
