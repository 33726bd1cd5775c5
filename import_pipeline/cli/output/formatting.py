"""Values as the commands print them. Times are in the local zone."""

import os
import sys
from datetime import datetime, timedelta
from typing import TextIO

from rich.console import Console
from rich.markup import escape as escape_markup

from import_pipeline.importer.control.plan import Plan
from import_pipeline.importer.monitoring.view import ImportView
from import_pipeline.importer.summary import ImportSummary
from import_pipeline.rules.status import NO_WORKER, SCHEDULE_OFF, WITH_FAILURES
from import_pipeline.wording import duration, plural, sentence, visible

COLORS = {
    "completed": "green",
    WITH_FAILURES: "yellow",  # shown as `completed, 3 failed`
    "running": "cyan",
    "failed": "red",
    "cancelled": "yellow",
    "scheduled": "blue",
    "due": "blue",
    "overdue": "magenta",
    SCHEDULE_OFF: "yellow",
    NO_WORKER: "red",
}
#: The commands that start Dagster's daemon.
DAEMONS = "`import-pipeline up`, `dagster dev` or `dagster-daemon run`"
PIPE_WIDTH = 120  #: columns of an output that is no terminal


def open_console(stream: TextIO | None = None) -> Console:
    """Return a console on that stream, by default standard output. A pipe is not cut to 80 columns."""
    stream = stream or sys.stdout
    is_free = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=PIPE_WIDTH if is_free else None, highlight=False)


def say(console: Console, text: str) -> None:
    """Print a line of prose: a terminal wraps it, a pipe gets it whole."""
    console.print(text, soft_wrap=True)


def escape(text: str) -> str:
    """Escape foreign text, such as an API's, so that neither Rich nor the terminal interprets it."""
    return escape_markup(visible(text))


def moment(at: datetime | None) -> str:
    """Return a time in the local zone, with the zone's name."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if at else "-"


def short_moment(at: datetime | None) -> str:
    """Return a time in the local zone to the minute, for narrow columns."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M %Z") if at else "-"


def status(text: str) -> str:
    """Return the status in its colour."""
    color = COLORS.get(text, COLORS[WITH_FAILURES])
    return f"[{color}]{text}[/{color}]"


def kind(view: ImportView) -> str:
    """Return `full`, or `full, limit 50` for an import with a limit of items."""
    limit = view.row.options.limit
    return view.row.kind.value if limit is None else f"{view.row.kind.value}, limit {limit}"


def items(summary: ImportSummary) -> str:
    """Return `396 of 400 imported, 1 skipped, 1 gone, 2 failed`."""
    total = "?" if summary.items_count is None else summary.items_count
    parts = [f"{summary.items_imported_count} of {total} imported"]
    if summary.items_unchanged_count:
        parts.append(f"{summary.items_unchanged_count} unchanged")
    return ", ".join([*parts, *not_imported(summary)])


def left_out(summary: ImportSummary) -> list[str]:
    """Return `2 skipped` and `1 gone`, as far as there are such items."""
    counts = ((summary.items_skipped_count, "skipped"), (summary.items_vanished, "gone"))
    return [f"{count} {word}" for count, word in counts if count]


def not_imported(summary: ImportSummary, *, has_colors: bool = True) -> list[str]:
    """Return `2 skipped`, `1 gone` and `3 failed`, as far as there are such items among those that are done."""
    failed = f"{summary.items_failed_count} failed" if summary.items_failed_count else None
    in_red = [f"[red]{failed}[/red]" if has_colors else failed] if failed else []
    return [*left_out(summary), *in_red]


def slices(summary: ImportSummary) -> str:
    """Return `39 of 40 read, 1 failed`."""
    read = f"{summary.slices_completed_count} of {summary.slices_count} read"
    failed = summary.slices_failed_count
    return f"{read}, [red]{failed} failed[/red]" if failed else read


def changes(summary: ImportSummary) -> str:
    """Return `since 2030-01-01T00:00:00Z, bookmark 2030-01-02T00:00:00Z`."""
    since = "the whole list" if summary.since is None else f"since {summary.since}"
    return f"{since}, {'bookmark not moved' if summary.bookmark is None else f'bookmark {summary.bookmark}'}"


def time_used(summary: ImportSummary) -> str:
    """Return the duration and its parts: active, waiting for permits or retries, without a process."""
    others = f", {duration(summary.retry_wait_seconds)} waiting for retries" if summary.retry_wait_seconds else ""
    others += f", {duration(summary.away_seconds)} without a process" if summary.away_seconds else ""
    return (
        f"{duration(summary.duration_seconds)}: {duration(summary.active_seconds)} active, "
        f"{duration(summary.total_sleep_seconds)} waiting for permits{others}"
    )


def print_plan(console: Console, planned: Plan) -> None:
    """Print the cost of an import."""
    if planned.slices_count is not None:
        say(console, f"{planned.source} has {plural(planned.slices_count, 'slice')}, each with a list of its own.")
    if planned.since is not None:
        say(console, f"The import is incremental: it reads what changed since {planned.since}.")
    elif planned.reason is not None:
        say(console, f"The import is full: {planned.reason}.")
    if planned.owed_count:
        say(console, f"It fetches {plural(planned.owed_count, 'item')} again that failed before.")
    unknown = f"The list of {planned.source} does not state its number of items"
    if (planned.slices_count or 0) > 1:
        unknown = f"A plan reads the first page of one slice, not the {planned.slices_count} lists"
    if planned.requests_count is None or planned.ideal_seconds is None:
        earlier = "no import has read it to the end" if planned.since is None else "no incremental import has completed"
        say(console, f"{unknown}, and {earlier} yet, so its cost is unknown.")
        say(console, sentence(planned.total_advice or f"run it once: `import-pipeline run {planned.source}`"))
        return
    if planned.estimated_from is not None:
        say(console, f"{unknown}. Import {planned.estimated_from} found:")
    say(
        console,
        f"{plural(planned.items_count or 0, 'item')} of {planned.source}: "
        f"{plural(planned.list_requests or 0, 'list page')} and {plural(planned.detail_requests or 0, 'detail')}, "
        f"{plural(planned.requests_count, 'request')} in all.",
    )
    if planned.details_may_be_fewer:
        say(console, "Unchanged details are not fetched again.")
    if not planned.limits:
        say(console, "No limits are known, so the server decides how long that takes.")
    elif planned.ideal_seconds:
        say(console, f"Under {planned.limits} that takes at least {duration(planned.ideal_seconds)}.")
    else:
        say(console, f"The limits ({planned.limits}) do not slow it down: the API's response time decides.")


def distance(ahead: timedelta) -> str:
    """Return `in 2 h 05 min` or `3 min ago`, to the minute."""
    minutes = round(abs(ahead.total_seconds()) / 60)
    text = f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
    return f"in {text}" if ahead >= timedelta(0) else f"{text} ago"
