"""What the commands print for people, and the objects behind `show --json`. Times are shown in the local zone."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from import_pipeline.importer.plan import Plan
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.items import FailedItem

COLORS = {"completed": "green", "running": "cyan", "failed": "red", "cancelled": "yellow", "scheduled": "blue"}
Event = tuple[datetime, str, str]


def moment(at: datetime | None) -> str:
    """A time as the reader's clock shows it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "-"


def seconds(value: float) -> str:
    """`4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def status(text: str) -> str:
    """The status in its colour."""
    color = COLORS.get(text, "white")
    return f"[{color}]{text}[/{color}]"


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
    """How long it took, of which it waited, against the least that the limits allow."""
    text = (
        f"{seconds(summary.duration_seconds)} "
        f"({seconds(summary.active_seconds)} active, {seconds(summary.total_sleep_seconds)} waiting for permits)"
    )
    if summary.ideal_ratio is not None:
        text += f", {summary.ideal_ratio:.3f} x the least that the limits allow ({seconds(summary.ideal_seconds)})"
    return text


def print_summary(console: Console, summary: ImportSummary, failed: Sequence[FailedItem]) -> None:
    """What an import came to."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("import", f"{summary.import_id} of {summary.source}: {status(summary.status)}")
    table.add_row("items", items(summary))
    table.add_row("time", time_used(summary))
    table.add_row(
        "requests",
        f"{summary.requests_count}, of which {summary.rate_limit_hits_count} answered 429; "
        f"{summary.rate_limit_sleeps_count} waits for permits",
    )
    for name, reason in (("failed", summary.failure_reason), ("incomplete", summary.incomplete_reason)):
        if reason:
            table.add_row(f"[red]{name}[/red]", escape(reason))
    console.print(table)
    print_failed(console, failed, shown=10, import_id=summary.import_id)


def print_failed(console: Console, failed: Sequence[FailedItem], *, shown: int, import_id: int) -> None:
    """The failed items with their reasons."""
    if not failed:
        return
    table = Table("item", "tries", "next try", "reason", title="Failed items", title_justify="left")
    for item in failed[:shown]:
        again = moment(item.next_attempt_at) if item.next_attempt_at else "none: failed for good"
        table.add_row(escape(item.external_id), str(item.failure_count), again, escape(item.reason))
    console.print(table)
    if len(failed) > shown:
        console.print(f"and {len(failed) - shown} more: import-pipeline show {import_id}")


def print_list(console: Console, rows: Sequence[tuple[ImportRow, ImportSummary]]) -> None:
    """Imports as a table."""
    if not rows:
        console.print("No imports yet. Start one with: import-pipeline run items")
        return
    table = Table("id", "source", "kind", "status", "started", "items", "duration", "429s", "x ideal")
    for row, summary in rows:
        ratio = "-" if summary.ideal_ratio is None else f"{summary.ideal_ratio:.3f}"
        started = row.started_at or row.scheduled_at
        table.add_row(
            str(row.id),
            row.source,
            row.kind.value,
            status(row.status.value),
            moment(started),
            items(summary),
            seconds(summary.duration_seconds),
            str(summary.rate_limit_hits_count),
            ratio,
        )
    console.print(table)


def details(
    row: ImportRow, summary: ImportSummary, failed: Sequence[FailedItem], happened: Sequence[Event]
) -> dict[str, Any]:
    """Everything that `show` tells, as plain values."""
    return summary.as_json() | {
        "kind": row.kind.value,
        "trigger": row.trigger.value,
        "started_at": _iso(row.started_at),
        "ended_at": _iso(row.ended_at),
        "heartbeat_at": _iso(row.heartbeat_at),
        "blocked_until": _iso(row.blocked_until),
        "dagster_run_id": row.dagster_run_id,
        "resumes": row.resumes,
        "failures": [
            asdict(item) | {"last_failed_at": _iso(item.last_failed_at), "next_attempt_at": _iso(item.next_attempt_at)}
            for item in failed
        ],
        "events": [{"at": _iso(at), "action": action, "message": message} for at, action, message in happened],
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def print_details(
    console: Console,
    row: ImportRow,
    summary: ImportSummary,
    failed: Sequence[FailedItem],
    happened: Sequence[Event],
) -> None:
    """One import, whole."""
    print_summary(console, summary, ())
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("kind", f"{row.kind.value}, started by {row.trigger.value}")
    table.add_row("started", moment(row.started_at))
    table.add_row("ended", moment(row.ended_at))
    if row.blocked_until:
        table.add_row("paused until", moment(row.blocked_until))
    table.add_row("Dagster run", row.dagster_run_id or "-")
    console.print(table)
    print_failed(console, failed, shown=100, import_id=row.id)
    for at, _, message in happened:
        console.print(f"{moment(at)}  {escape(message)}")


def print_plan(console: Console, planned: Plan) -> None:
    """The cost of an import in a few lines."""
    if planned.requests_count is None or planned.ideal_seconds is None:
        console.print(f"The list of {planned.source} does not tell how many items it has: no forecast is possible.")
        return
    console.print(
        f"{planned.items_count} items of {planned.source}: {planned.list_requests} list pages and "
        f"{planned.detail_requests} details, {planned.requests_count} requests in all."
    )
    if planned.limits:
        console.print(f"Under {planned.limits} that takes at least {seconds(planned.ideal_seconds)}.")
    else:
        console.print("No limits are set: it takes as long as the API needs to answer.")
