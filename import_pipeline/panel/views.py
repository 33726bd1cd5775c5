"""What the templates draw, from what was looked at. Pure functions; the words are in `words`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from import_pipeline.importer.control.rescheduling import keeps_slot
from import_pipeline.importer.monitoring.queries import PAGE_SIZE, ImportDetails, ImportPage
from import_pipeline.importer.monitoring.view import ImportView, left_of
from import_pipeline.panel import formatting
from import_pipeline.ratelimit import TierUsage
from import_pipeline.rules.status import (
    DUE,
    ENDED,
    NO_WORKER,
    OVERDUE,
    SCHEDULE_OFF,
    ImportKind,
    ImportStatus,
    Trigger,
    said_of_end,
)
from import_pipeline.tracking.queries import SORTABLE, Filter

#: The statuses in the order of the tabs, with the name of each one's icon; that of no worker is there when needed only.
ICONS: Mapping[str, str] = {
    ImportStatus.RUNNING: "running",
    NO_WORKER: "overdue",
    ImportStatus.SCHEDULED: "scheduled",
    OVERDUE: "overdue",
    SCHEDULE_OFF: "cancelled",
    ImportStatus.COMPLETED: "completed",
    ImportStatus.FAILED: "failed",
    ImportStatus.CANCELLED: "cancelled",
}
#: Tabs that are shown only if there are such imports.
RARE = (NO_WORKER, SCHEDULE_OFF)
#: The icons of all that a badge may say: what is due is under `scheduled`.
BADGES: Mapping[str, str] = {**ICONS, DUE: "scheduled"}
COLUMNS: Mapping[str, str] = {
    "id": "Import",
    "status": "Status",
    "scheduled": "Scheduled for",
    "items": "Items",
    "sleeping": "Duration",
    "hits": "Rate limits",
}
KINDS: Mapping[ImportKind, str] = {
    ImportKind.FULL: "everything",
    ImportKind.DISCOVERY: "only the list",
    ImportKind.SELECTION: "chosen items",
}
TRIGGERS: Mapping[Trigger, str] = {
    Trigger.SCHEDULE: "schedule",
    Trigger.REQUEST: "request",
    Trigger.RESCHEDULE: "reschedule",
    Trigger.CLI: "command line",
    Trigger.UI: "Dagster",
    Trigger.RETRY: "retry",
}
PAGE_NUMBER, PAGES = re.compile("[1-9][0-9]{0,5}"), "a whole number from 1 to 999999"
REFRESH, IDLE_REFRESH = 1000, 5000  #: milliseconds between two looks of the script
MOST_BARS = 60
LEAST_SEEN = 0.7  #: per cent of a bar
FILTERS: Mapping[str, Callable[..., str]] = {
    "duration": formatting.duration,
    "relative": formatting.relative,
    "moment": formatting.moment,
    "number": formatting.number,
    "plural": formatting.plural,
    "percent": formatting.percent,
    "window": formatting.window,
    "ending": said_of_end,
}


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a list's address asks for; what is not known is left out."""

    source: str | None = None
    status: str | None = None
    sort: str = "scheduled"
    descending: bool = True
    page: int = 1

    @classmethod
    def read(cls, asked: Mapping[str, str], sources: Sequence[str]) -> "Query":
        """From an address's parameters, which anybody may have written."""
        sort = asked.get("sort", "-scheduled")
        column = sort.removeprefix("-")
        page = asked.get("page", "1")
        return cls(
            source=asked.get("source") if asked.get("source") in sources else None,
            status=asked.get("status") if asked.get("status") in BADGES else None,
            sort=column if column in SORTABLE else "scheduled",
            descending=sort.startswith("-") or column not in SORTABLE,
            page=int(page) if PAGE_NUMBER.fullmatch(page) else 1,
        )

    @staticmethod
    def problem(asked: Mapping[str, str], sources: Sequence[str]) -> str | None:
        """What `read` would leave out of an address, as a sentence for programs; None: nothing."""
        columns = [order + column for column in SORTABLE for order in ("", "-")]
        for name, known in (("source", sources), ("status", BADGES), ("sort", columns)):
            if name in asked and asked[name] not in known:
                return f"{name}: expected one of {', '.join(known)}, got {asked[name][:40]!r}"
        page = asked.get("page", "1")
        return None if PAGE_NUMBER.fullmatch(page) else f"page: expected {PAGES}, got {page[:40]!r}"

    @property
    def filter(self) -> Filter:
        """The part that a query to the database filters by."""
        return Filter(source=self.source, status=self.status)

    def link(self, **changed: Any) -> str:
        """The address of the same list with something else; back to the first page unless that is what changes."""
        values = {"source": self.source, "status": self.status, "page": 1} | changed
        sort = values.pop("sort", f"{'-' if self.descending else ''}{self.sort}")
        values["sort"] = None if sort == "-scheduled" else sort
        values["page"] = None if values["page"] == 1 else values["page"]
        kept = {name: values[name] for name in ("source", "status", "sort", "page") if values[name] is not None}
        return f"/?{urlencode(kept)}" if kept else "/"


@dataclass(frozen=True, kw_only=True)
class Link:
    """A tab, a column's head, a page: an address, its text, whether it is the one shown."""

    url: str
    text: str
    count: int | None = None
    current: bool = False
    icon: str = ""
    order: str = ""  #: ascending, descending or empty, for a column


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of a bar, in per cent."""

    name: str
    start: float
    size: float


def progress_parts(view: ImportView) -> list[Part]:
    """A progress bar: imported, unchanged and failed, one after the other."""
    row, total = view.row, view.row.items_count
    counted = (
        ("imported", row.items_imported_count),
        ("unchanged", row.items_unchanged_count),
        ("failed", row.items_failed_count),
    )
    return _stretches(counted, max(total or 0, view.done))


def duration_parts(view: ImportView) -> list[Part]:
    """How a duration divides into active, sleeping and away, without a process."""
    figures = view.figures
    counted = (
        ("active", figures.active_seconds),
        ("sleeping", figures.total_sleep_seconds),
        ("away", figures.away_seconds),
    )
    return _stretches(counted, figures.duration_seconds)


def gauge_parts(tier: TierUsage) -> list[Part]:
    """A gauge: the permits that a tier has left."""
    return _stretches((("left", left_of(tier)),), tier.amount)


def _stretches(counted: Sequence[tuple[str, float]], whole: float) -> list[Part]:
    parts, start = [], 0.0
    for name, size in counted:
        share = 100.0 * size / whole if whole else 0.0
        # What has failed is seen however little it is.
        shown = max(share, LEAST_SEEN) if name == "failed" and share else share
        if share:
            parts.append(Part(name=name, start=round(min(start, 100.0 - shown), 2), size=round(shown, 2)))
        start += share
    return parts


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Items finished per second, as bars in a field of 100 x 100."""

    bars: tuple[tuple[float, float, float, float], ...]  #: x, y, width, height
    most: float  #: items per second of the highest bar
    seconds: float  #: from the first bar's beginning to the last one's end


def chart_of(finished_at: Sequence[datetime], until: datetime) -> Chart | None:
    """The latest items as bars that end at `until`; None where there are too few for a shape, or it took no time."""
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


def list_page(listing: ImportPage, query: Query, sources: Sequence[str]) -> dict[str, Any]:
    """The context of the list."""
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
            count=numbers.get(status, 0),
            icon=icon,
            current=status == (ImportStatus.SCHEDULED if query.status == DUE else query.status),
        )
        for status, icon in ICONS.items()
        if status not in RARE or numbers.get(status) or query.status == status
    ]
    is_due = any(view.status == DUE for view in listing.views)
    busy = is_due or numbers.get(ImportStatus.RUNNING, 0) or numbers.get(OVERDUE, 0) or listing.wishes
    return {
        "views": listing.views,
        "total": listing.total,
        "statuses": statuses,
        "sources": _sources(query, sources),
        "columns": [_column(query, name, text) for name, text in COLUMNS.items()],
        "pages": _pages(query, listing.total),
        "wishes": listing.wishes,
        "query": query,
        "refresh": REFRESH if busy else IDLE_REFRESH,
    } | _drawing()


def _drawing() -> dict[str, Any]:
    return {
        "progress_parts": progress_parts,
        "duration_parts": duration_parts,
        "gauge_parts": gauge_parts,
        "left_of": left_of,
        "icons": BADGES,
        "kinds": KINDS,
        "triggers": TRIGGERS,
    }


def _sources(query: Query, sources: Sequence[str]) -> list[Link]:
    """Tabs for sources, where there are several."""
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
    """The pages around the one shown, the first and the last; none where one page holds all."""
    last = max(1, -(-total // PAGE_SIZE))
    if last == 1 and query.page == 1:
        return []
    shown = sorted({1, last, *range(max(1, query.page - 2), min(last, query.page + 2) + 1)})
    return [Link(url=query.link(page=page), text=str(page), current=page == query.page) for page in shown]


def import_page(look: ImportDetails, run_url: str | None, now: datetime) -> dict[str, Any]:
    """The context of one import's page."""
    view = look.view
    return {
        "view": view,
        "row": view.row,
        "figures": view.figures,
        "outlook": look.outlook,
        "usage": look.usage,
        "groups": look.groups,
        "failures": look.failures,
        "events": list(reversed(look.events)),
        "chart": chart_of(look.finished_at, view.row.ended_at or now),
        "unfinished": look.unfinished,
        "run_url": run_url,
        "actions": allowed(look, now),
        "api_paused_until": look.api_paused_until,
        "retried_by": look.retried_by,
        "shards": look.shards,
        "refresh": 0 if view.has_ended else REFRESH if view.is_running else IDLE_REFRESH,
    } | _drawing()


def allowed(look: ImportDetails, now: datetime) -> tuple[str, ...]:
    """What can be done with the import now; the wishes themselves refuse the rest, and say why."""
    row = look.view.row
    resume = ("resume",) if look.api_paused_until is not None else ()
    if row.status not in ENDED:
        return resume if row.cancel_requested_at is not None else (*resume, "cancel")
    if look.retried_by is not None:
        return resume
    return (*resume, *(("retry",) if look.unfinished else ()), *(() if keeps_slot(row, now) else ("delete",)))


def why_not(action: str, look: ImportDetails, now: datetime) -> str | None:
    """Why an action is not allowed now, as the end of a sentence; None where it is."""
    if action in allowed(look, now):
        return None
    row = look.view.row
    if action == "resume":
        return "its API is not paused"
    if action == "cancel":
        return "it has ended already" if row.status in ENDED else "it is to be cancelled already"
    if row.status not in ENDED:
        return f"it can be {'retried' if action == 'retry' else 'deleted'} once it has ended"
    if look.retried_by is not None:
        return f"import {look.retried_by} retries it"
    return "it has left nothing to retry" if action == "retry" else "it tells that its slot is spent, which is to come"
