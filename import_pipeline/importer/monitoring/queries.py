"""Read imports for displays, each read bounded: details, pages of a list, progress."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader, with_current_usage
from import_pipeline.importer.monitoring.stalled import stalled_import
from import_pipeline.importer.monitoring.view import Forecast, ImportView, forecast_of, history_size, view_of
from import_pipeline.ratelimit import Usage
from import_pipeline.rules.status import ENDED, NO_WORKER, UNENDED, ImportStatus
from import_pipeline.tracking import events, imports, items, queries, scheduling
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.lists import slices
from import_pipeline.tracking.lists.leftovers import Leftovers, left
from import_pipeline.tracking.queries import FailureGroup, Filter, ImportSnapshot
from import_pipeline.tracking.shards import ShardRow

#: Finished items that are read at most; more would not improve the forecast.
MAX_HISTORY = 3_000
SHOWN_FAILURES = 50
PAGE_SIZE = 25
#: Running imports whose workers are checked; a source has at most one.
MAX_RUNNING = 100
#: Imports that are searched for those of sources that are no longer listed.
MAX_UNENDED = 100


@dataclass(frozen=True, kw_only=True)
class ImportDetails:
    """All facts about one import."""

    view: ImportView
    forecast: Forecast | None  #: of a running import
    usage: Usage | None  #: the API's counters; None if it has ended or the rate-limit store does not answer
    failure_groups: Sequence[FailureGroup]
    failures: Sequence[items.FailedItem]
    events: Sequence[tuple[datetime, str, str]]
    finished_at: Sequence[datetime]
    leftovers: Leftovers  #: of an ended import: what a retry would import
    retried_by: int | None  #: the scheduled or running import that retries them
    has_retried: bool = False  #: the import that it retries is still there
    failed_slices: Sequence[slices.FailedSlice] = ()  #: those that failed, or whose end is doubtful
    shards: Sequence[ShardRow] = ()  #: its further workers, also former ones
    is_listed: bool = True  #: its source is listed in the settings
    api_paused_until: datetime | None = None  #: the end of the API's pause, if the pause delays it


@dataclass(frozen=True, kw_only=True)
class ImportPage:
    """A page of a list of imports, with its counts."""

    views: Sequence[ImportView]
    total: int
    counts: dict[tuple[str, str], int]  #: (source, status) -> number; `no worker` is a part of `running`
    requests: Sequence[tuple[str, str, datetime]]


def list_imports(
    installation: Installation,
    which: Filter,
    usage_reader: UsageReader,
    *,
    sort: str = "scheduled",
    descending: bool = True,
    page: int = 1,
) -> ImportPage:
    """Return a page of imports, counted from 1; the status may be `no worker`. Raises DatabaseUnavailable."""
    now = installation.clock.now()
    with installation.database.read() as connection:
        stalled = _imports_without_worker(connection, installation, now)
        which = resolve_status(connection, installation, which, now)
        total = queries.count_imports(connection, which, now)
        found = queries.find(
            connection,
            which,
            now,
            sort=sort,
            descending=descending,
            limit=PAGE_SIZE,
            offset=(page - 1) * PAGE_SIZE,
        )
        return ImportPage(
            views=[view_in(connection, installation, row, now, usage_reader) for row in found],
            total=total,
            counts=queries.counts(connection, now) | {(row.source, NO_WORKER): 1 for row in stalled},
            requests=queries.waiting_requests(connection),
        )


def resolve_status(connection: Connection, installation: Installation, which: Filter, now: datetime) -> Filter:
    """Replace the status `no worker`, which no row holds, by the ids of those imports."""
    if which.status != NO_WORKER:
        return which
    return replace(
        which, status=None, ids=tuple(row.id for row in _imports_without_worker(connection, installation, now))
    )


def _imports_without_worker(connection: Connection, installation: Installation, now: datetime) -> list[ImportRow]:
    """Return the running imports that have no worker."""
    running = imports.latest(connection, statuses=(ImportStatus.RUNNING,), limit=MAX_RUNNING)
    return [row for row in running if view_in(connection, installation, row, now).has_no_worker]


def import_details(installation: Installation, import_id: int, usage_reader: UsageReader) -> ImportDetails:
    """Return one import with its failures and events. Raises ImportNotFound, DatabaseUnavailable."""
    now = installation.clock.now()
    with installation.database.read() as connection:
        found = queries.snapshot(connection, import_id, lambda row: MAX_HISTORY)
        view = view_from(connection, installation, found, now, usage_reader)
        usage = _usage(installation, view.row, usage_reader)
        failed = view.row.items_failed_count or view.is_running
        return ImportDetails(
            view=view,
            forecast=_forecast(installation, view, found, usage, now),
            usage=usage,
            failure_groups=queries.failures_by_reason(connection, import_id) if failed else [],
            failures=items.failures(connection, import_id, SHOWN_FAILURES) if failed else [],
            events=events.latest(connection, import_id),
            finished_at=found.finished_at,
            leftovers=left(connection, view.row) if view.has_ended else Leftovers(),
            retried_by=scheduling.open_retry_of(connection, import_id),
            has_retried=bool(imports.existing(connection, [view.row.retry_of])),
            failed_slices=_failed_slices(connection, view.row),
            shards=found.shards,
            is_listed=installation.listed(view.row.source) is not None,
            api_paused_until=_api_paused_until(installation, view.row, usage_reader, now),
        )


def unlisted_imports(connection: Connection, names: Collection[str]) -> list[ImportRow]:
    """Return the scheduled and running imports of other sources than these, newest first."""
    unended = imports.latest(connection, statuses=UNENDED, limit=MAX_UNENDED)
    return [row for row in unended if row.source not in names]


def _failed_slices(connection: Connection, row: ImportRow) -> Sequence[slices.FailedSlice]:
    """Return the slices that failed; an import without slices costs no statement."""
    return slices.failures(connection, row.id, SHOWN_FAILURES) if row.slices_count is not None else []


def import_progress(
    installation: Installation, import_id: int, usage_reader: UsageReader
) -> tuple[ImportView, Forecast | None]:
    """Return the figures and the forecast of one import. Raises ImportNotFound, DatabaseUnavailable."""
    now = installation.clock.now()
    with installation.database.read() as connection:
        found = queries.snapshot(connection, import_id, lambda row: _history_size(installation, row))
        view = view_from(connection, installation, found, now, usage_reader)
        usage = _usage(installation, view.row, usage_reader) if view.is_running else None
        return view, _forecast(installation, view, found, usage, now)


def _history_size(installation: Installation, row: ImportRow) -> int:
    """Return the number of finish times that a forecast needs; only a running import has one."""
    if row.status is not ImportStatus.RUNNING:
        return 0
    return min(MAX_HISTORY, history_size(_limits(installation, row)))


def _api_paused_until(
    installation: Installation, row: ImportRow, usage_reader: UsageReader, now: datetime
) -> datetime | None:
    """Return the end of the API's pause, unless the import has completed or is cancelled."""
    source = installation.listed(row.source)
    if source is None or row.status in {ImportStatus.COMPLETED, ImportStatus.CANCELLED}:
        return None
    usage = usage_reader.usage(source)
    paused = [until for until in (usage and usage.paused_until, row.blocked_until) if until and until > now]
    return max(paused, default=None)


def _usage(installation: Installation, row: ImportRow, usage_reader: UsageReader) -> Usage | None:
    """Return the counters of the import's API; None after its end, when they belong to other imports."""
    source = installation.listed(row.source)
    if source is None or row.status in ENDED:
        return None
    is_learned = row.facts.limits_learned
    return usage_reader.usage(source, "" if is_learned else _limits(installation, row))


def view_in(
    connection: Connection,
    installation: Installation,
    row: ImportRow,
    now: datetime,
    usage_reader: UsageReader | None = None,
) -> ImportView:
    """Return the view of an import, from its row, its source's settings and the state of its worker.

    With a `usage_reader`, the view of an import with a worker has the current seconds of sleep.
    """
    return view_from(connection, installation, queries.row_snapshot(connection, row), now, usage_reader)


def view_from(
    connection: Connection,
    installation: Installation,
    found: ImportSnapshot,
    now: datetime,
    usage_reader: UsageReader | None = None,
) -> ImportView:
    """Return the view of a snapshot, as `view_in`. The connection serves a stalled import only."""
    row = found.row
    source = installation.listed(row.source)
    stalled = stalled_import(connection, found, source, now)
    has_worker = row.status is ImportStatus.RUNNING and (stalled is None or stalled.since is None)
    if usage_reader is not None and has_worker:
        row = with_current_usage(row, _usage(installation, row, usage_reader))
    return view_of(row, source.limits_text if source else "", now, stalled, is_held_back=found.is_held_back)


def _limits(installation: Installation, row: ImportRow) -> str:
    source = installation.listed(row.source)
    own = row.facts.limits
    if own is not None:
        return own
    return source.limits_text if source else ""


def _forecast(
    installation: Installation, view: ImportView, found: ImportSnapshot, usage: Usage | None, now: datetime
) -> Forecast | None:
    source = installation.listed(view.row.source)
    return forecast_of(
        view,
        found,
        limits=_limits(installation, view.row),
        per_page=source.per_page if source else 100,
        per_request=(source.details_per_request or 1) if source else 1,
        usage=usage,
        now=now,
    )
