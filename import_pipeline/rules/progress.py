"""How far an import is, and how well it used the limits. Plain numbers in, plain numbers out."""

import math
from datetime import datetime
from enum import StrEnum


def percent_done(done: int, total: int | None) -> float | None:
    """Per cent of the items that need no more work; None while the total is unknown."""
    if total is None:
        return None
    return 100.0 if total <= 0 else min(100.0, 100.0 * done / total)


def active_seconds(duration_seconds: float, sleep_seconds: float, away_seconds: float) -> float:
    """The time that an import spent neither waiting for permits nor away, without a process; never below zero."""
    return max(0.0, duration_seconds - sleep_seconds - away_seconds)


def away_seconds(silence_seconds: float, slept_seconds: float) -> float:
    """The time without a process between its last sign of life and the next one's start, sleep that is counted aside.

    A wait that a dead process had begun is counted as sleep up to the end that it was to have.
    """
    return max(0.0, silence_seconds - max(0.0, slept_seconds))


#: A worker gives a sign of life each second. What the wall clock shows beyond that was not spent: the clock was set.
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
    """How long an import has taken, from what its workers have counted by a clock that is never set.

    While it runs, the time since its last sign of life comes from the wall clock. An import without a count (of an
    older version, or that has just begun) has nothing but the wall clock. Never below zero.
    """
    if counted is None or heard_at is None:
        return max(0.0, (until - started_at).total_seconds()) if started_at else 0.0
    since = max(0.0, (until - heard_at).total_seconds()) if is_running else 0.0
    return max(0.0, counted) + (min(since, MAX_BEAT_GAP) if has_worker else since)


def efficiency(hits: int, sleeps: int) -> float | None:
    """100 x sleeps / (hits + sleeps): the share of waits that nobody had to force; None when there were none."""
    return None if hits + sleeps == 0 else 100.0 * sleeps / (hits + sleeps)


def incomplete_reason(discovered: int, total: int | None, stopped_early: str | None = None) -> str | None:
    """Why an import that ends must not look complete, or None: it saw fewer items than the list says it has."""
    if stopped_early:
        return stopped_early
    if total is not None and discovered < total:
        return f"the list says {total} items, {discovered} were found on its pages"
    return None


class Grade(StrEnum):
    """An efficiency in a word."""

    EXCELLENT = "excellent"  #: over 90 per cent
    FAIR = "fair"  #: 50 to 90
    POOR = "poor"  #: under 50


def grade(percent: float | None) -> Grade | None:
    """The word for an efficiency; None where there is nothing to grade."""
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
) -> int | None:
    """How many requests an import still has to send: pages of the list, and details; None while nobody can know.

    `seen` items were found so far, `unfinished` of them need details still, `unchanged` never did. Of the items that
    are yet to be found, the same part is taken to be unchanged. `listed`: the list was read to its end. `details`:
    False where only the list is wanted.
    """
    if listed:
        return unfinished if details else 0
    if total is None:
        return None
    unseen = max(0, total - seen)
    changed = 1.0 if not seen else 1.0 - unchanged / seen
    pages = max(1, math.ceil(unseen / per_page))
    return pages + (unfinished + math.ceil(unseen * changed) if details else 0)
