"""Tables on a terminal: the columns of least worth go first if it is narrow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from import_pipeline.cli.output.formatting import (
    changes,
    escape,
    items,
    kind,
    moment,
    not_imported,
    say,
    short_moment,
    slices,
    status,
    time_used,
)
from import_pipeline.importer.monitoring.view import ImportView
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.rules.status import ENDED
from import_pipeline.tracking.items import FailedItem
from import_pipeline.tracking.shards import ShardRow
from import_pipeline.wording import duration, plural

Event = tuple[datetime, str, str]  #: time, action, message
GAP = 2  #: spaces between two columns


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its heading and its worth. A narrow terminal loses the columns of least worth first."""

    name: str
    worth: int
    is_number: bool = False


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the indexes of the columns that fit the width, in order. The one of most worth always stays.

    Cells may contain Rich markup.
    """
    widths = [
        max([len(column.name), *(Text.from_markup(row[place]).cell_len for row in rows)])
        for place, column in enumerate(columns)
    ]
    kept = sorted(range(len(columns)), key=lambda place: columns[place].worth, reverse=True)
    while len(kept) > 1 and sum(widths[place] + GAP for place in kept) - GAP > width:
        kept.pop()
    return sorted(kept)


def print_columns(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows with as many columns as fit."""
    places = fitting(columns, rows, console.width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for place in places:
        table.add_column(columns[place].name, justify="right" if columns[place].is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(row[place] for place in places))
    console.print(table)


#: The columns of `list`. The id is worth most, since all other commands take it.
LIST_COLUMNS = (
    Column(name="id", worth=10, is_number=True),
    Column(name="source", worth=8),
    Column(name="kind", worth=3),
    Column(name="status", worth=9),
    Column(name="started or due", worth=6),
    Column(name="done", worth=7, is_number=True),
    Column(name="unchanged", worth=1, is_number=True),
    Column(name="failed", worth=2, is_number=True),
    Column(name="time", worth=5, is_number=True),
    Column(name="429s", worth=4, is_number=True),
    Column(name="x least", worth=0, is_number=True),
)


def _facts() -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_summary(console: Console, summary: ImportSummary, failed: Sequence[FailedItem]) -> None:
    """Print the figures of an import and its failed items. The command itself prints why it failed."""
    table = _facts()
    _add_figures(table, summary, summary.display_status)
    console.print(table)
    ended_as = summary.status if summary.status in ENDED else None
    total = summary.items_failed_count
    print_failed(console, failed, total, shown=10, import_id=summary.import_id, ended_as=ended_as)


def _add_figures(table: Table, summary: ImportSummary, shown: str) -> None:
    table.add_row("import", f"{summary.import_id} of {summary.source}: {status(shown)}")
    table.add_row("items", items(summary))
    if summary.slices_count is not None:
        table.add_row("slices", slices(summary))
    table.add_row("time", time_used(summary))
    if summary.ideal_ratio is not None:
        least = duration(summary.ideal_seconds)
        table.add_row("", f"{summary.ideal_ratio:.3f} x the least time under the limits, {least}")
    table.add_row(
        "requests",
        f"{summary.requests_count}, {summary.rate_limit_hits_count} x 429, "
        f"{plural(summary.rate_limit_sleeps_count, 'wait')} for permits",
    )
    if summary.since is not None or summary.bookmark is not None:
        table.add_row("changes", escape(changes(summary)))
    if summary.items_delisted_count:
        table.add_row(
            "removed",
            f"{plural(summary.items_delisted_count, 'item')} no longer in the list: marked as removed; the rows stay",
        )
    if summary.items_gone_unconfirmed_count:
        confirm = f"import-pipeline finalize {summary.import_id} --mark-gone"
        missing = (
            f"{plural(summary.items_gone_unconfirmed_count, 'item')} no longer in the list: too many to mark as removed"
        )
        table.add_row("[red]removed?[/red]", f"{missing} without confirmation. To confirm: {confirm}")
    if summary.incomplete_reason:
        table.add_row("[red]incomplete[/red]", escape(summary.incomplete_reason))


def print_failed(
    console: Console,
    failed: Sequence[FailedItem],
    total: int,
    *,
    shown: int,
    ended_as: str | None,
    import_id: int | None = None,
) -> None:
    """Print the failed items with their reasons, and when each is tried again.

    An import that ended, with the status `ended_as`, makes no further tries.
    """
    if not failed:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("failed item", "tries", "next try"):
        table.add_column(name, overflow="fold")
    table.add_column("reason", overflow="fold", ratio=1)
    for item in failed[:shown]:
        table.add_row(escape(item.external_id), str(item.failure_count), _next_try(item, ended_as), escape(item.reason))
    console.print()
    console.print(table)
    if (more := max(total, len(failed)) - len(failed[:shown])) > 0:
        hint = f": import-pipeline show {import_id}" if import_id is not None else ""
        say(console, f"and {more} more{hint}")


def _next_try(item: FailedItem, ended_as: str | None) -> str:
    if item.next_attempt_at is None:
        return "none"
    return f"not retried: {ended_as}" if ended_as else moment(item.next_attempt_at)


def print_list(
    console: Console, views: Sequence[ImportView], sources: Sequence[str], *, is_filtered: bool = False
) -> None:
    """Print imports as a table. `is_filtered`: other imports may exist."""
    if not views and is_filtered:
        say(console, "No such imports. `import-pipeline list` shows all.")
        return
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
        status(view.display_status),
        short_moment(row.started_at or row.scheduled_at),
        *(figures if row.started_at else ["-"] * len(figures)),
    ]


def _figures(summary: ImportSummary) -> list[str]:
    """Return the cells of a started import."""
    total = "?" if summary.items_count is None else summary.items_count
    ratio = "-" if summary.ideal_ratio is None else f"{summary.ideal_ratio:.3f}"
    return [
        ", ".join([f"{summary.items_done}/{total}", *not_imported(summary)]),
        str(summary.items_unchanged_count),
        f"[red]{summary.items_failed_count}[/red]" if summary.items_failed_count else "0",
        duration(summary.duration_seconds),
        str(summary.rate_limit_hits_count),
        ratio,
    ]


def print_details(
    console: Console,
    view: ImportView,
    failed: Sequence[FailedItem],
    happened: Sequence[Event],
    workers: Sequence[ShardRow],
) -> None:
    """Print one import with failed items, shards and events."""
    row, summary = view.row, view.figures
    table = _facts()
    _add_figures(table, summary, view.display_status)
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
    for each in workers:
        table.add_row(f"shard {each.number}", _shard(each, is_running=view.is_running))
    console.print(table)
    ended_as = view.row.status if view.has_ended else None
    print_failed(console, failed, summary.items_failed_count, shown=len(failed), ended_as=ended_as)
    console.print()
    for at, _, message in happened:
        say(console, f"{moment(at)}  {escape(message)}")


def _worker(view: ImportView) -> str:
    row, stalled = view.row, view.stalled
    if stalled is not None:
        return escape(f"none: {stalled.evidence}. {stalled.next_step}.")
    return f"process {row.pid} on {escape(row.host or '-')}, last heartbeat {moment(row.heartbeat_at)}"


def _shard(shard: ShardRow, *, is_running: bool) -> str:
    where = "requested" if is_running and shard.ended_at is None else "ended"
    if is_running and shard.pid is not None:
        where = f"process {shard.pid} on {escape(shard.host or '-')}, last heartbeat {moment(shard.heartbeat_at)}"
    return f"{where}, {plural(shard.requests_count, 'request')}, Dagster run {shard.dagster_run_id or '-'}"
