"""The figures of an import for all displays. Pure functions: rows and counters in, figures out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from import_pipeline.importer.monitoring.stalled import StalledImport
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.ratelimit import TierUsage, Usage
from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.rules.forecast import fitted, remaining_seconds, split_units
from import_pipeline.rules.progress import Grade, grade, percent_done, requests_left
from import_pipeline.rules.status import (
    DISPLAY_STATUSES,
    ENDED,
    NO_WORKER,
    WITH_FAILURES,
    ImportKind,
    ImportStatus,
    display_status,
    with_failed_items,
)
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import Remaining
from import_pipeline.tracking.queries import ImportSnapshot
from import_pipeline.wording import iso


@dataclass(frozen=True, kw_only=True)
class ImportView:
    """One import as a list shows it. Durations are seconds; they no longer change once it has ended."""

    row: ImportRow
    figures: ImportSummary
    status: str  #: the status to show: `due` and `overdue` apart from `scheduled`
    done: int  #: items that need no more work
    percent: float | None
    items_per_second: float | None
    grade: Grade | None  #: of the efficiency
    paused_until: datetime | None  #: the end of a pause that the API requested, if it lies ahead
    due_in_seconds: float | None  #: until its scheduled time; negative after it
    stalled: StalledImport | None = None  #: set if the import is stalled

    @property
    def has_ended(self) -> bool:
        """True if it has ended, so that nothing changes any more."""
        return self.row.status in ENDED

    @property
    def has_no_worker(self) -> bool:
        """True if it is running without a worker; one that is paused as the API requested needs none."""
        return self.stalled is not None and self.stalled.since is not None and self.paused_until is None

    @property
    def display_status(self) -> str:
        """The status to show: `no worker` for a stalled import, `completed, 3 failed` for one with failed items."""
        return with_failed_items(NO_WORKER if self.has_no_worker else self.status, self.row.items_failed_count)

    @property
    def badge(self) -> str:
        """The key of its badge: its status to show, or `with failures`."""
        return self.display_status if self.display_status in DISPLAY_STATUSES else WITH_FAILURES

    @property
    def is_running(self) -> bool:
        """True if its status is running."""
        return self.row.status is ImportStatus.RUNNING


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The work left of a running import, and the least time that it takes."""

    requests_left: int | None  #: None: the number of items is unknown
    retries_waiting: int  #: failed items that will be retried
    next_attempt_at: datetime | None
    eta_seconds: float | None
    ends_at: datetime | None
    waits_for: str | None = None  #: why it waits, if it does
    waits_until: datetime | None = None  #: None: until that is back


def view_of(
    row: ImportRow, limits: str, now: datetime, stalled: StalledImport | None = None, *, is_held_back: bool = False
) -> ImportView:
    """Return the view of a row. `limits` apply if it has not begun. `is_held_back`: its schedule is off."""
    figures = summarize(row, limits, now, stalled_since=stalled.since if stalled else None)
    done = figures.items_done
    due_at = row.scheduled_at or row.created_at
    paused = row.blocked_until if row.status is ImportStatus.RUNNING else None
    return ImportView(
        row=row,
        figures=figures,
        status=display_status(row.status, row.scheduled_at, now, is_held_back=is_held_back),
        done=done,
        percent=percent_done(done, row.items_count),
        items_per_second=done / figures.duration_seconds if done and figures.duration_seconds > 0 else None,
        grade=grade(figures.efficiency),
        paused_until=paused if paused is not None and paused > now else None,
        due_in_seconds=(due_at - now).total_seconds(),
        stalled=stalled,
    )


def forecast_of(
    view: ImportView,
    found: ImportSnapshot,
    *,
    limits: str,
    per_page: int,
    usage: Usage | None,
    now: datetime,
    per_request: int = 1,
) -> Forecast | None:
    """Return the forecast of a running import: the time that the limits need, or that of its pace if it is slower.

    Return None if the snapshot was read without history, or the import is not running. The snapshot's finish times show
    how full the tiers' windows are; `usage` adds the requests of other processes. There is no time of the end if the
    end of the current wait is unknown, or the import is stalled.
    """
    remaining = found.remaining
    if remaining is None:
        return None
    wait = None if found.wait is None or found.wait.is_over(now) else found.wait
    left = _requests_left(view.row, remaining, per_page, per_request)
    # The items of a batch finished together, by one request.
    finished_at = found.finished_at if per_request == 1 else sorted(set(found.finished_at), reverse=True)
    eta = None
    if left is not None and not view.has_no_worker and (wait is None or wait.until is not None):
        eta = _seconds_for(left, view, limits, finished_at, usage, now)
        if remaining.waiting and remaining.next_attempt_at is not None:
            eta = max(eta, (remaining.next_attempt_at - now).total_seconds())
    return Forecast(
        requests_left=left,
        retries_waiting=remaining.waiting,
        next_attempt_at=remaining.next_attempt_at,
        eta_seconds=eta,
        ends_at=None if eta is None else now + timedelta(seconds=eta),
        waits_for=wait.reason if wait else None,
        waits_until=wait.until if wait else None,
    )


def _seconds_for(
    left: int, view: ImportView, limits: str, finished_at: Sequence[datetime], usage: Usage | None, now: datetime
) -> float:
    """Return the seconds that `left` requests take from now on."""
    row, active_seconds = view.row, view.figures.active_seconds
    paused = [until for until in (view.paused_until, usage and usage.paused_until) if until and until > now]
    # Items finished without a request are not marked, but the number of requests is known.
    moments = [(moment - now).total_seconds() for moment in finished_at[: row.requests_count]]
    mean_cost = row.facts.mean_cost or 1
    units = split_units(math.ceil(left * mean_cost), row.facts.requests_by_endpoint or {})
    tiers = parse_limits(limits if row.facts.limits is None else row.facts.limits)
    if not (total := sum(units.values())):
        return 0.0

    def seconds(endpoint: str, count: int) -> float:
        counted = [each for each in usage.tiers if each.endpoint == endpoint] if usage else []
        used = [(float(tier.seconds), tier.used) for tier in counted]
        known = moments if len(units) == 1 else []  # the endpoint of a finished item is not stored
        return remaining_seconds(
            count,
            tiers.get(endpoint, ()),
            fitted(known, used, all_sent=not row.items_unchanged_count) if used else known,
            paused_seconds=max(((until - now).total_seconds() for until in paused), default=0.0),
            per_second=row.requests_count * mean_cost / active_seconds * count / total if active_seconds > 0 else None,
        )

    return max(seconds(endpoint, count) for endpoint, count in units.items())


def history_size(limits: str) -> int:
    """Return the number of latest finished items that cover the windows of all tiers."""
    return max((tier.amount for tiers in parse_limits(limits).values() for tier in tiers), default=0)


def _requests_left(row: ImportRow, remaining: Remaining, per_page: int, per_request: int) -> int | None:
    state = row.read_state
    limit = row.options.limit
    total = row.items_count if limit is None or row.items_count is None else min(row.items_count, limit)
    return requests_left(
        total=total,
        seen=state.seen,
        unfinished=remaining.unfinished,
        unchanged=row.items_unchanged_count,
        per_page=per_page,
        listed=state.complete,
        details=row.kind is not ImportKind.DISCOVERY,
        per_request=per_request,
    )


def permits_left(tier: TierUsage) -> int:
    """Return the permits that the tier would still grant now."""
    return max(0, tier.amount - tier.used)


def common_json(view: ImportView) -> dict[str, Any]:
    """Return the values of an import that all programs get: the figures of `run --json`, kind, trigger and times."""
    row = view.row
    return view.figures.as_json() | {
        "kind": row.kind.value,
        "limit": row.options.limit,
        "trigger": row.trigger.value,
        "scheduled_at": iso(row.scheduled_at),
        "started_at": iso(row.started_at),
        "ended_at": iso(row.ended_at),
    }


def as_json(view: ImportView, forecast: Forecast | None = None) -> dict[str, Any]:
    """Return the values that the panel gives to programs: the common ones, and those derived for displays."""
    row = view.row
    values = common_json(view) | {
        "status": view.status,
        "percent": view.percent,
        "items_per_second": view.items_per_second,
        "grade": view.grade,
        "paused_until": iso(view.paused_until),
        "has_no_worker": view.has_no_worker,
        "dagster_run_id": row.dagster_run_id,
        "requested_by": row.requested_by,
        "retry_of": row.retry_of,
    }
    if forecast is not None:
        values |= {
            "requests_left": forecast.requests_left,
            "retries_waiting": forecast.retries_waiting,
            "next_attempt_at": iso(forecast.next_attempt_at),
            "eta_seconds": None if forecast.eta_seconds is None else round(forecast.eta_seconds, 1),
            "ends_at": iso(forecast.ends_at),
            "waits_for": forecast.waits_for,
            "waits_until": iso(forecast.waits_until),
        }
    return values
