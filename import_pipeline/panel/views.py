"""The contexts of the templates, from the data of a page. Pure functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from import_pipeline import wording
from import_pipeline.importer.control.rescheduling import keeps_slot
from import_pipeline.importer.monitoring.queries import PAGE_SIZE, ImportDetails, ImportPage
from import_pipeline.importer.monitoring.sources import SourceDetails
from import_pipeline.importer.monitoring.view import permits_left
from import_pipeline.panel import formatting
from import_pipeline.panel.charts import chart_of, duration_parts, gauge_parts, progress_parts, strip_of
from import_pipeline.panel.query import BADGES, ICONS, Query
from import_pipeline.rules.status import (
    DUE,
    ENDED,
    NO_WORKER,
    OVERDUE,
    SCHEDULE_OFF,
    WITH_FAILURES,
    ImportKind,
    ImportStatus,
    Trigger,
    end_sentence,
)
from import_pipeline.tracking.imports import ImportRow

#: Tabs that show only if such imports exist.
RARE = (NO_WORKER, SCHEDULE_OFF)
COLUMNS: Mapping[str, str] = {
    "id": "Import",
    "status": "Status",
    "scheduled": "Scheduled for",
    "items": "Items",
    "duration": "Duration",
    "hits": "Rate limits",
}
KINDS: Mapping[ImportKind, str] = {
    ImportKind.FULL: "full import",
    ImportKind.INCREMENTAL: "changes",
    ImportKind.DISCOVERY: "list only",
    ImportKind.SELECTION: "selected items",
}
TRIGGERS: Mapping[Trigger, str] = {
    Trigger.SCHEDULE: "schedule",
    Trigger.REQUEST: "request",
    Trigger.RESCHEDULE: "reschedule",
    Trigger.CLI: "command line",
    Trigger.UI: "Dagster",
    Trigger.RETRY: "retry",
}
REFRESH, IDLE_REFRESH = 1000, 5000  #: milliseconds between refreshes
FILTERS: Mapping[str, Callable[..., str]] = {
    "duration": wording.duration,
    "relative": formatting.relative,
    "due": formatting.due,
    "moment": formatting.moment,
    "number": formatting.number,
    "plural": wording.plural,
    "percent": formatting.percent,
    "window": formatting.window,
    "ending": end_sentence,
}


def covers(row: ImportRow) -> str:
    """Return what the import covers: `full import`, `the first 20 items`."""
    limit = row.options.limit
    if limit is None or row.kind is ImportKind.SELECTION:
        return KINDS[row.kind]
    first = "the first item" if limit == 1 else f"the first {formatting.number(limit)} items"
    return first if row.kind is ImportKind.FULL else f"{KINDS[row.kind]}, {first}"


@dataclass(frozen=True, kw_only=True)
class Link:
    """A tab, a column head or a page number: an address, its text, and if it is the current one."""

    url: str
    text: str
    count: int | None = None
    current: bool = False
    icon: str = ""
    order: str = ""  #: ascending, descending or empty, for a column


def list_page(listing: ImportPage, query: Query, sources: Sequence[str]) -> dict[str, Any]:
    """Return the context of the list."""
    numbers: dict[str, int] = {}
    for (source, status), number in listing.counts.items():
        if query.source in {None, source}:
            numbers[status] = numbers.get(status, 0) + number
    whole = sum(numbers.values()) - numbers.get(NO_WORKER, 0)
    statuses = [Link(url=query.link(status=None), text="all", count=whole, current=not query.status)]
    statuses += [
        Link(
            url=query.link(status=status),
            text=str(status),
            count=None if status == WITH_FAILURES else numbers.get(status, 0),
            icon=icon,
            current=status == (ImportStatus.SCHEDULED if query.status == DUE else query.status),
        )
        for status, icon in ICONS.items()
        if status not in RARE or numbers.get(status) or query.status == status
    ]
    is_due = any(view.status == DUE for view in listing.views)
    busy = is_due or numbers.get(ImportStatus.RUNNING, 0) or numbers.get(OVERDUE, 0) or listing.requests
    return {
        "views": listing.views,
        "total": listing.total,
        "statuses": statuses,
        "sources": _sources(query, sources),
        "shown_source": [each for each in sources if query.source == each or len(sources) == 1],
        "columns": [_column(query, name, text) for name, text in COLUMNS.items()],
        "pages": _pages(query, listing.total),
        "requests": listing.requests,
        "query": query,
        "refresh": REFRESH if busy else IDLE_REFRESH,
    } | _helpers()


def _helpers() -> dict[str, Any]:
    return {
        "progress_parts": progress_parts,
        "duration_parts": duration_parts,
        "gauge_parts": gauge_parts,
        "permits_left": permits_left,
        "icons": BADGES,
        "covers": covers,
        "triggers": TRIGGERS,
    }


def _sources(query: Query, sources: Sequence[str]) -> list[Link]:
    """Return the tabs of sources; none for a single source."""
    if len(sources) < 2:
        return []
    tabs = [Link(url=query.link(source=None), text="all sources", current=query.source is None)]
    return tabs + [Link(url=query.link(source=each), text=each, current=query.source == each) for each in sources]


def _column(query: Query, name: str, text: str) -> Link:
    current = query.sort == name
    descending = not query.descending if current else True
    order = ("descending" if query.descending else "ascending") if current else ""
    return Link(url=query.link(sort=f"{'-' if descending else ''}{name}"), text=text, current=current, order=order)


def _pages(query: Query, total: int) -> list[Link]:
    """Return links to the first, the last and the nearest pages; none if one page shows all."""
    last = max(1, -(-total // PAGE_SIZE))
    if last == 1 and query.page == 1:
        return []
    shown = sorted({1, last, *range(max(1, query.page - 2), min(last, query.page + 2) + 1)})
    return [Link(url=query.link(page=page), text=str(page), current=page == query.page) for page in shown]


def import_page(details: ImportDetails, run_url: str | None, now: datetime) -> dict[str, Any]:
    """Return the context of an import's page."""
    view = details.view
    return {
        "view": view,
        "is_listed": details.is_listed,
        "row": view.row,
        "figures": view.figures,
        "forecast": details.forecast,
        "usage": details.usage,
        "groups": details.failure_groups,
        "failures": details.failures,
        "failed_slices": details.failed_slices,
        "events": list(reversed(details.events)),
        "chart": chart_of(details.finished_at, view.row.ended_at or now),
        "leftovers": details.leftovers,
        "run_url": run_url,
        "actions": allowed(details, now),
        "api_paused_until": details.api_paused_until,
        "retried_by": details.retried_by,
        "has_retried": details.has_retried,
        "shards": details.shards,
        "refresh": 0 if view.has_ended else REFRESH if view.is_running else IDLE_REFRESH,
    } | _helpers()


def source_page(found: SourceDetails, slots: Sequence[datetime], now: datetime) -> dict[str, Any]:
    """Return the context of a source's page."""
    until = None if found.usage is None else found.usage.paused_until
    return {
        "source": found,
        "slots": slots,
        "strip": strip_of(found.latest),
        "refresh": REFRESH if any(view.is_running for view in found.latest) else IDLE_REFRESH,
        "paused_until": until if until is not None and until > now else None,
    } | _helpers()


def allowed(details: ImportDetails, now: datetime) -> tuple[str, ...]:
    """Return the actions that the import allows now. The action functions check again."""
    row = details.view.row
    resume = ("resume",) if details.api_paused_until is not None else ()
    if row.status not in ENDED:
        return resume if row.cancel_requested_at is not None else (*resume, "cancel")
    if details.retried_by is not None:
        return resume
    return (*resume, *(("retry",) if details.leftovers else ()), *(() if keeps_slot(row, now) else ("delete",)))


def why_not(action: str, details: ImportDetails, now: datetime) -> str | None:
    """Return why an action is not allowed now, as the end of a sentence; None if it is."""
    if action in allowed(details, now):
        return None
    row = details.view.row
    if action == "resume":
        return "its API is not paused"
    if action == "cancel":
        return "it has already ended" if row.status in ENDED else "it is already being cancelled"
    if row.status not in ENDED:
        return f"it can be {'retried' if action == 'retry' else 'deleted'} after it has ended"
    if details.retried_by is not None:
        return f"import {details.retried_by} retries it"
    return "it has nothing to retry" if action == "retry" else "it keeps its future slot from being scheduled again"
