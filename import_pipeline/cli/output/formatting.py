"""What the commands print for people, and the objects behind `show --json`. Times are shown in the local zone."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from import_pipeline.cli.output.columns import Column, print_columns
from import_pipeline.importer.control.plan import Plan
from import_pipeline.importer.monitoring.view import ImportView
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.rules.status import ENDED, NO_WORKER, OVERDUE, SCHEDULE_OFF
from import_pipeline.tracking.items import FailedItem
from import_pipeline.tracking.shards import ShardRow
from import_pipeline.wording import visible

COLORS = {
    "completed": "green",
    "running": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "scheduled": "blue",
    "due": "blue",
    "overdue": "magenta",
    SCHEDULE_OFF: "yellow",
    NO_WORKER: "red",
}
#: Columns where no terminal says how many it has.
PIPE_WIDTH = 120
Event = tuple[datetime, str, str]
#: What `list` shows. All other commands ask for the id.
LIST_COLUMNS = (
    Column(name="id", worth=10, is_number=True),
    Column(name="source", worth=8),
    Column(name="kind", worth=2),
    Column(name="status", worth=9),
    Column(name="started or due", worth=5),
    Column(name="done", worth=7, is_number=True),
    Column(name="unchanged", worth=1, is_number=True),
    Column(name="failed", worth=6, is_number=True),
    Column(name="time", worth=4, is_number=True),
    Column(name="429s", worth=3, is_number=True),
    Column(name="x least", worth=0, is_number=True),
)


def open_console(stream: TextIO | None = None) -> Console:
    """A console on that stream (standard output); a pipe is not cut to the 80 columns of a small terminal."""
    stream = stream or sys.stdout
    is_free = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=PIPE_WIDTH if is_free else None, highlight=False)


def say(console: Console, text: str) -> None:
    """A line of prose: the terminal wraps it, a pipe gets it whole."""
    console.print(text, soft_wrap=True)


def escape(text: str) -> str:
    """Text that is not ours, such as an API's: the terminal obeys nothing in it."""
    return escape_markup(visible(text))


def moment(at: datetime | None) -> str:
    """A time as the reader's clock shows it, and the name of its zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if at else "-"


def short_moment(at: datetime | None) -> str:
    """The same to the minute, for narrow columns."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M %Z") if at else "-"


def seconds(value: float) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, what: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def status(text: str) -> str:
    """The status in its colour."""
    color = COLORS.get(text, "white")
    return f"[{color}]{text}[/{color}]"


def standing(view: ImportView) -> str:
    """The status as people see it, in its colour."""
    return status(view.standing)


def kind(view: ImportView) -> str:
    """`full`; `full, limit 50` where it was to stop after so many items."""
    limit = view.row.metadata.get("limit")
    return view.row.kind.value if limit is None else f"{view.row.kind.value}, limit {limit}"


def items(summary: ImportSummary) -> str:
    """`398 of 400 imported, 2 failed`."""
    total = "?" if summary.items_count is None else summary.items_count
    parts = [f"{summary.items_imported_count} of {total} imported"]
    if summary.items_unchanged_count:
        parts.append(f"{summary.items_unchanged_count} unchanged")
    if summary.items_failed_count:
        parts.append(f"[red]{summary.items_failed_count} failed[/red]")
    return ", ".join(parts)


def time_used(summary: ImportSummary) -> str:
    """How long it took, and how much of that it waited."""
    away = f", {seconds(summary.away_seconds)} without a process" if summary.away_seconds else ""
    return (
        f"{seconds(summary.duration_seconds)}: {seconds(summary.active_seconds)} active, "
        f"{seconds(summary.total_sleep_seconds)} waiting for permits{away}"
    )


def _facts() -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_summary(console: Console, summary: ImportSummary, failed: Sequence[FailedItem]) -> None:
    """What an import came to. Why it failed, where it did, is the command's last sentence."""
    table = _facts()
    _add_figures(table, summary, summary.status)
    console.print(table)
    over = summary.status in ENDED
    print_failed(console, failed, summary.items_failed_count, shown=10, import_id=summary.import_id, is_over=over)


def _add_figures(table: Table, summary: ImportSummary, standing: str) -> None:
    table.add_row("import", f"{summary.import_id} of {summary.source}: {status(standing)}")
    table.add_row("items", items(summary))
    table.add_row("time", time_used(summary))
    if summary.ideal_ratio is not None:
        least = seconds(summary.ideal_seconds)
        table.add_row("", f"{summary.ideal_ratio:.3f} x the least that the limits allow, {least}")
    table.add_row(
        "requests",
        f"{summary.requests_count}, {summary.rate_limit_hits_count} x 429, "
        f"{count(summary.rate_limit_sleeps_count, 'wait')} for permits",
    )
    if summary.items_gone_count:
        table.add_row("gone", f"{count(summary.items_gone_count, 'item')} no longer in the list, marked; the rows stay")
    if summary.items_gone_unconfirmed_count:
        confirm = f"import-pipeline finalize {summary.import_id} --mark-gone"
        missing = f"{count(summary.items_gone_unconfirmed_count, 'item')} no longer in the list: too many to be marked"
        table.add_row("[red]gone?[/red]", f"{missing} as gone by themselves. If that is right: {confirm}")
    if summary.incomplete_reason:
        table.add_row("[red]incomplete[/red]", escape(summary.incomplete_reason))


def print_failed(
    console: Console,
    failed: Sequence[FailedItem],
    in_all: int,
    *,
    shown: int,
    is_over: bool,
    import_id: int | None = None,
) -> None:
    """The failed items with their reasons; an item that waits for its next try is no failed one yet.

    Of an import that `is_over` nobody makes the tries that were planned.
    """
    if not failed:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("failed item", "tries", "next try"):
        table.add_column(name, overflow="fold")
    table.add_column("reason", overflow="fold", ratio=1)
    for item in failed[:shown]:
        again = moment(item.next_attempt_at) if item.next_attempt_at and not is_over else "none"
        table.add_row(escape(item.external_id), str(item.failure_count), again, escape(item.reason))
    console.print()
    console.print(table)
    if (more := max(in_all, len(failed)) - len(failed[:shown])) > 0:
        hint = f": import-pipeline show {import_id}" if import_id is not None else ""
        say(console, f"and {more} more{hint}")


def print_list(console: Console, views: Sequence[ImportView], sources: Sequence[str]) -> None:
    """Imports as a table; a narrow terminal gets fewer columns instead of broken ones."""
    if not views:
        say(console, f"No imports. Start one with: import-pipeline run {next(iter(sources), 'SOURCE')}")
        return
    print_columns(console, LIST_COLUMNS, [_cells(view) for view in views])


def _cells(view: ImportView) -> list[str]:
    row = view.row
    figures = _figures(view.figures)
    return [
        str(row.id),
        escape(row.source),
        kind(view),
        standing(view),
        short_moment(row.started_at or row.scheduled_at),
        *(figures if row.started_at else ["-"] * len(figures)),
    ]


def _figures(summary: ImportSummary) -> list[str]:
    """Of an import that has begun; one that has not has none."""
    total = "?" if summary.items_count is None else summary.items_count
    ratio = "-" if summary.ideal_ratio is None else f"{summary.ideal_ratio:.3f}"
    return [
        f"{summary.items_done}/{total}",
        str(summary.items_unchanged_count),
        str(summary.items_failed_count),
        seconds(summary.duration_seconds),
        str(summary.rate_limit_hits_count),
        ratio,
    ]


def _known_by(view: ImportView) -> dict[str, Any]:
    """What every JSON of an import begins with: its figures, what it is and when."""
    row = view.row
    return view.figures.as_json() | {
        "kind": row.kind.value,
        "limit": row.metadata.get("limit"),
        "trigger": row.trigger.value,
        "scheduled_at": _iso(row.scheduled_at),
        "started_at": _iso(row.started_at),
        "ended_at": _iso(row.ended_at),
    }


def listed(view: ImportView) -> dict[str, Any]:
    """An import as `list --json` tells it."""
    return _known_by(view) | {
        "overdue": view.status == OVERDUE,
        "schedule_is_off": view.status == SCHEDULE_OFF,
        "has_no_worker": view.has_no_worker,
    }


def details(
    view: ImportView,
    failed: Sequence[FailedItem],
    happened: Sequence[Event],
    places: Sequence[ShardRow],
) -> dict[str, Any]:
    """Everything that `show` tells, as plain values."""
    row = view.row
    return _known_by(view) | {
        "heartbeat_at": _iso(row.heartbeat_at),
        "has_no_worker": view.has_no_worker,
        "blocked_until": _iso(row.blocked_until),
        "dagster_run_id": row.dagster_run_id,
        "resumes": row.resumes,
        "shards": [
            {
                "number": place.number,
                "host": place.host,
                "pid": place.pid,
                "dagster_run_id": place.dagster_run_id,
                "heartbeat_at": _iso(place.heartbeat_at),
                "ended_at": _iso(place.ended_at),
                "requests_count": place.requests_count,
            }
            for place in places
        ],
        "failures": [
            asdict(item)
            | {
                "last_failed_at": _iso(item.last_failed_at),
                "next_attempt_at": None if view.has_ended else _iso(item.next_attempt_at),
            }
            for item in failed
        ],
        "events": [{"at": _iso(at), "action": action, "message": message} for at, action, message in happened],
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def print_details(
    console: Console,
    view: ImportView,
    failed: Sequence[FailedItem],
    happened: Sequence[Event],
    places: Sequence[ShardRow],
) -> None:
    """One import, whole."""
    row, summary = view.row, view.figures
    table = _facts()
    _add_figures(table, summary, view.standing)
    if summary.failure_reason:
        table.add_row("[red]reason[/red]", escape(summary.failure_reason))
    table.add_row("kind", f"{kind(view)}, started by {row.trigger.value}")
    table.add_row("started", moment(row.started_at))
    table.add_row("ended", moment(row.ended_at))
    if row.blocked_until:
        table.add_row("paused until", moment(row.blocked_until))
    if view.is_running:
        table.add_row("worker", _worker(view))
    table.add_row("Dagster run", row.dagster_run_id or "-")
    for place in places:
        table.add_row(f"shard {place.number}", _shard(place, is_running=view.is_running))
    console.print(table)
    print_failed(console, failed, summary.items_failed_count, shown=len(failed), is_over=view.has_ended)
    console.print()
    for at, _, message in happened:
        say(console, f"{moment(at)}  {escape(message)}")


def _worker(view: ImportView) -> str:
    row, vacancy = view.row, view.vacancy
    if vacancy is not None:
        return escape(f"none: {vacancy.gone}. {vacancy.sequel}.")
    return f"process {row.pid} on {escape(row.host or '-')}, last heard of at {moment(row.heartbeat_at)}"


def _shard(place: ShardRow, *, is_running: bool) -> str:
    where = "asked for" if is_running and place.ended_at is None else "has ended"
    if is_running and place.pid is not None:
        where = f"process {place.pid} on {escape(place.host or '-')}, last heard of at {moment(place.heartbeat_at)}"
    return f"{where}, {count(place.requests_count, 'request')}, Dagster run {place.dagster_run_id or '-'}"


def print_plan(console: Console, planned: Plan) -> None:
    """The cost of an import in a few lines."""
    unknown = f"The list of {planned.source} does not tell how many items it has"
    if planned.requests_count is None or planned.ideal_seconds is None:
        say(console, f"{unknown}, and no import has read it to its end yet: no forecast is possible.")
        return
    if planned.estimated_from is not None:
        say(console, f"{unknown}. This is what import {planned.estimated_from} found:")
    say(
        console,
        f"{count(planned.items_count or 0, 'item')} of {planned.source}: "
        f"{count(planned.list_requests or 0, 'list page')} and {count(planned.detail_requests or 0, 'detail')}, "
        f"{count(planned.requests_count, 'request')} in all.",
    )
    if planned.details_may_be_fewer:
        say(console, "Details that have not changed since the last import are not fetched again.")
    if not planned.limits:
        say(console, "No limits are known: the server decides how long that takes.")
    elif planned.ideal_seconds:
        say(console, f"Under {planned.limits} that takes at least {seconds(planned.ideal_seconds)}.")
    else:
        say(console, f"{planned.limits} holds none of it back: it takes as long as the API needs to answer.")
