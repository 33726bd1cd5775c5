"""The live display of a running import: it reads the tracking rows, like everybody else who watches."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from import_pipeline.cli.screen import open_console, say, seconds
from import_pipeline.contracts import ImportSource
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.summary import ImportSummary, summarize
from import_pipeline.rules.status import ENDED
from import_pipeline.tracking import imports
from import_pipeline.tracking.imports import ImportRow

REFRESH_SECONDS = 0.25
#: Between two lines where no terminal draws a bar.
LINE_SECONDS = 5.0


class LiveDisplay:
    """A bar on a terminal, a line every few seconds elsewhere; from a thread of its own, while this context lasts."""

    def __init__(self, installation: Installation, source: ImportSource, import_id: int) -> None:
        self._installation = installation
        self._source = source
        self._import_id = import_id
        self._console = open_console(sys.stderr)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self) -> None:
        """Until the import has ended."""
        self._thread.join()

    def _run(self) -> None:
        if sys.stderr.isatty():
            self._draw()
        else:
            self._tell()

    def _read(self) -> tuple[ImportRow, ImportSummary] | None:
        try:
            with self._installation.database.read() as connection:
                row = imports.get(connection, self._import_id)
        except DatabaseUnavailable:
            return None
        return row, summarize(row, self._source.limits, self._installation.clock.now())

    def _draw(self) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            bar = progress.add_task("starting", total=None, remark="")
            while not self._update(progress, bar) and not self._stop.wait(REFRESH_SECONDS):
                pass

    def _update(self, progress: Progress, bar: TaskID) -> bool:
        """Draw what the rows say; True when the import has ended."""
        if (read := self._read()) is None:
            return False
        row, summary = read
        if row.started_at is None:
            return False
        progress.update(
            bar,
            description=f"{row.source} {row.status.value}",
            total=summary.items_count,
            completed=done(summary),
            remark=remark(row, summary, self._installation),
        )
        return row.status in ENDED

    def _tell(self) -> None:
        told_at = time.monotonic()
        while not self._stop.wait(REFRESH_SECONDS):
            if (read := self._read()) is None:
                continue
            row, summary = read
            ended = row.status in ENDED
            if row.started_at is not None and (ended or time.monotonic() - told_at >= LINE_SECONDS):
                told_at = time.monotonic()
                say(self._console, line(row, summary, self._installation))
            if ended:
                return


def line(row: ImportRow, summary: ImportSummary, installation: Installation) -> str:
    """How far the import is, where no bar can be drawn."""
    total = "?" if summary.items_count is None else summary.items_count
    parts = [
        f"{done(summary)} of {total} items after {seconds(summary.duration_seconds)}",
        remark(row, summary, installation),
    ]
    return f"{row.source} {row.status.value}: {', '.join(filter(None, parts))}"


def done(summary: ImportSummary) -> int:
    """Items that need no more work."""
    return summary.items_imported_count + summary.items_unchanged_count + summary.items_failed_count


def remark(row: ImportRow, summary: ImportSummary, installation: Installation) -> str:
    """Rate, failures and pauses in a few words."""
    parts = []
    if summary.duration_seconds > 1:
        parts.append(f"{done(summary) / summary.duration_seconds:.1f} items/s")
    if summary.items_failed_count:
        parts.append(f"{summary.items_failed_count} failed")
    if summary.rate_limit_hits_count:
        parts.append(f"{summary.rate_limit_hits_count} x 429")
    if row.blocked_until is not None and (left := (row.blocked_until - installation.clock.now()).total_seconds()) > 0:
        parts.append(f"paused by the API for {seconds(left)}")
    return ", ".join(parts)
