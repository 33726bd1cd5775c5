"""The figures of an import, as in `run --json`, `show --json` and Dagster's metadata."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.rules.forecast import minimum_by_endpoint, split_units
from import_pipeline.rules.progress import TimeParts, away_seconds, efficiency, elapsed_seconds, time_parts
from import_pipeline.rules.status import ENDED, ImportStatus, with_failed_items
from import_pipeline.tracking import imports, items
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists import leftovers

#: Figures that are columns of the import's row.
_COUNTERS = (
    "items_count",
    "items_imported_count",
    "items_unchanged_count",
    "items_skipped_count",
    "items_failed_count",
    "slices_count",
    "slices_completed_count",
    "slices_failed_count",
    "requests_count",
    "rate_limit_hits_count",
    "rate_limit_sleeps_count",
)


@dataclass(frozen=True, kw_only=True)
class ImportSummary:
    """One import in numbers. Durations are in seconds; `ideal_ratio` and `efficiency` are None if undefined."""

    import_id: int
    source: str
    status: str
    items_count: int | None
    items_imported_count: int
    items_unchanged_count: int
    items_failed_count: int
    items_skipped_count: int  #: items that the source does not import, as their responses say
    items_gone_count: int  #: items marked as gone: the list no longer had them, or the API answered so
    requests_count: int
    rate_limit_hits_count: int
    rate_limit_sleeps_count: int
    total_sleep_seconds: float
    duration_seconds: float
    active_seconds: float
    away_seconds: float  #: without a worker: after a crash, or between two runs
    retry_wait_seconds: float  #: only the next tries of failed items were waited for
    ideal_seconds: float  #: the shortest time in which the limits allow that many requests
    #: (duration - waits for retries) / ideal; None if the limits were advertised or inferred.
    ideal_ratio: float | None
    efficiency: float | None  #: percent
    items_delisted_count: int  #: those of the gone items that the list no longer had
    items_gone_unconfirmed_count: int  #: too many such items; not marked until a person confirms
    slices_count: int | None  #: lists of the import, as far as they are known; None: it has one
    slices_completed_count: int  #: read to their end
    slices_failed_count: int
    since: str | None = None  #: the position that an incremental import reads from; None: the whole list
    bookmark: str | None = None  #: the bookmark that it left; None: it left the bookmark where it was
    incomplete_reason: str | None
    failure_reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values, in the order above."""
        return asdict(self)

    @property
    def items_done(self) -> int:
        """Items that need no more work: imported, unchanged, skipped, gone, or permanently failed."""
        return self.items_right + self.items_failed_count

    @property
    def items_right(self) -> int:
        """Items of which all is stored that the API has and the source imports."""
        return self.items_imported_count + self.items_unchanged_count + self.items_skipped_count + self.items_vanished

    @property
    def items_vanished(self) -> int:
        """Listed items that the API no longer had when their details were requested."""
        return self.items_gone_count - self.items_delisted_count

    @property
    def display_status(self) -> str:
        """The status to show: `completed, 3 failed` if items of a completed import failed."""
        return with_failed_items(self.status, self.items_failed_count)

    @property
    def exit_status(self) -> int:
        """0: all imported; 3: completed with failed items, or incomplete; 4: failed, cancelled or not ended."""
        if self.status != ImportStatus.COMPLETED:
            return 4
        return 3 if self.items_failed_count or self.incomplete_reason else 0


def summarize(row: ImportRow, limits: str, now: datetime, *, stalled_since: datetime | None = None) -> ImportSummary:
    """Return the figures of an import; the duration of a running one counts until `now`.

    `limits` apply if the import has not begun; later its own do. `stalled_since` is the time from which a running
    import has no worker.
    """
    duration = _duration_seconds(row, now, stalled_since)
    facts = row.facts
    parts = _time_parts(row, duration, now, stalled_since)
    units = round(row.requests_count * (facts.mean_cost or 1))
    by_endpoint = split_units(units, facts.requests_by_endpoint or {})
    ideal = minimum_by_endpoint(by_endpoint, parse_limits(limits if facts.limits is None else facts.limits))
    is_exact = ideal > 0 and row.status in ENDED and not facts.limits_learned
    return ImportSummary(
        import_id=row.id,
        source=row.source,
        status=row.status.value,
        **{name: getattr(row, name) for name in _COUNTERS},
        total_sleep_seconds=round(parts.sleeping, 3),
        duration_seconds=round(duration, 3),
        active_seconds=round(parts.active, 3),
        away_seconds=round(parts.away, 3),
        retry_wait_seconds=round(parts.retrying, 3),
        ideal_seconds=round(ideal, 3),
        ideal_ratio=round((duration - parts.retrying) / ideal, 4) if is_exact else None,
        efficiency=_efficiency(row),
        items_gone_count=row.items_gone_count + (facts.gone or 0),
        items_delisted_count=facts.gone or 0,
        items_gone_unconfirmed_count=facts.gone_unconfirmed or 0,
        since=facts.since,
        bookmark=facts.bookmark,
        incomplete_reason=row.incomplete_reason,
        failure_reason=row.failure_reason,
    )


def _time_parts(row: ImportRow, duration: float, now: datetime, stalled_since: datetime | None) -> TimeParts:
    return time_parts(
        duration,
        sleeping=row.total_sleep_seconds,
        away=_away_seconds(row, now, stalled_since),
        retrying=row.facts.retry_wait_seconds or 0.0,
    )


def _efficiency(row: ImportRow) -> float | None:
    ratio = efficiency(row.rate_limit_hits_count, row.rate_limit_sleeps_count)
    return None if ratio is None else round(ratio, 1)


def _duration_seconds(row: ImportRow, now: datetime, stalled_since: datetime | None) -> float:
    """Return the seconds from the start to the end, or to now."""
    return elapsed_seconds(
        row.elapsed_seconds,
        started_at=row.started_at,
        heard_at=row.heartbeat_at,
        until=row.ended_at if row.status in ENDED and row.ended_at else now,
        is_running=row.status is ImportStatus.RUNNING,
        has_worker=row.pid is not None and stalled_since is None,
    )


def count_later_imports(connection: Connection, summary: ImportSummary) -> ImportSummary:
    """Return the figures of an ended import as they are now: a failed item that was imported later counts as imported.

    A retry therefore clears what it mended, and an import of other items changes nothing. Slices that were read later
    count as read.
    """
    if summary.status not in ENDED:
        return summary
    if summary.slices_count is not None and summary.incomplete_reason is not None:
        summary = _count_later_slices(connection, summary)
    if not summary.items_failed_count:
        return summary
    failed = min(summary.items_failed_count, items.unfinished(connection, summary.import_id))
    imported = summary.items_imported_count + summary.items_failed_count - failed
    return replace(summary, items_failed_count=failed, items_imported_count=imported)


def _count_later_slices(connection: Connection, summary: ImportSummary) -> ImportSummary:
    """Return the figures of an incomplete import with slices, complete if all of them were read whole meanwhile."""
    if leftovers.left(connection, imports.get(connection, summary.import_id)).slices:
        return summary
    read = summary.slices_completed_count + summary.slices_failed_count
    return replace(summary, incomplete_reason=None, slices_failed_count=0, slices_completed_count=read)


def _away_seconds(row: ImportRow, now: datetime, stalled_since: datetime | None) -> float:
    """Return the seconds without a worker: those recorded, and those since the last heartbeat."""
    counted = row.facts.away_seconds or 0.0
    if stalled_since is not None:
        return counted + away_seconds((now - stalled_since).total_seconds(), 0.0)
    resumed_after = row.facts.resumed_after
    if resumed_after is None or row.heartbeat_at is None:
        return counted
    return counted + away_seconds((row.heartbeat_at - resumed_after).total_seconds(), 0.0)
