"""The live display of a running import: it reads the tracking rows, like everybody else who watches."""

import sys
import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from import_pipeline.cli.output.formatting import open_console, say
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.monitoring.view import Forecast, ImportView
from import_pipeline.wording import duration, plural

REFRESH_SECONDS = 0.25
#: Between two lines where no terminal draws a bar.
LINE_SECONDS = 5.0


class LiveDisplay:
    """A bar on a terminal, a line every few seconds elsewhere; from a thread of its own, while this context lasts."""

    def __init__(self, installation: Installation, import_id: int) -> None:
        self._installation = installation
        self._import_id = import_id
        self._gauges = UsageReader(settings=installation.settings, clock=installation.clock)
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
        self._gauges.close()

    def _read(self) -> tuple[ImportView, Forecast | None] | None:
        try:
            return import_progress(self._installation, self._import_id, self._gauges)
        except DatabaseUnavailable:
            return None

    def _draw(self) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[elapsed]}", style="yellow"),  # the import's, not the watcher's
            TextColumn("{task.fields[remark]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            bar = progress.add_task("starting", total=None, elapsed="", remark="")
            while not self._update(progress, bar) and not self._stop.wait(REFRESH_SECONDS):
                pass

    def _update(self, progress: Progress, bar: TaskID) -> bool:
        """Draw what the rows say; True when the import has ended."""
        if (read := self._read()) is None:
            return False
        view, outlook = read
        if view.row.started_at is None:
            return False
        progress.update(
            bar,
            description=f"{view.row.source} {view.row.status.value}",
            total=view.row.items_count,
            completed=view.done,
            elapsed=duration(view.figures.duration_seconds),
            remark=remark(view, outlook, self._installation),
        )
        return view.has_ended

    def _tell(self) -> None:
        told_at = time.monotonic()
        while not self._stop.wait(REFRESH_SECONDS):
            if (read := self._read()) is None:
                continue
            view, outlook = read
            if view.row.started_at is not None and (view.has_ended or time.monotonic() - told_at >= LINE_SECONDS):
                told_at = time.monotonic()
                say(self._console, line(view, outlook, self._installation))
            if view.has_ended:
                return


def line(view: ImportView, outlook: Forecast | None, installation: Installation) -> str:
    """How far the import is, where no bar can be drawn."""
    total = "?" if view.row.items_count is None else view.row.items_count
    parts = [
        f"{view.done} of {total} items done after {duration(view.figures.duration_seconds)}",
        remark(view, outlook, installation),
    ]
    return f"{view.row.source} {view.row.status.value}: {', '.join(filter(None, parts))}"


def _waits(outlook: Forecast, now: datetime) -> list[str]:
    """What the import waits for, except permits."""
    if outlook.waits_for is not None and outlook.waits_until is None:
        return [f"{outlook.waits_for}; nothing is sent until it is back"]
    if outlook.waits_for is not None and outlook.waits_until is not None:
        return [
            f"{outlook.waits_for}: tries again in {duration(max(0.0, (outlook.waits_until - now).total_seconds()))}"
        ]
    if outlook.retries_waiting and outlook.next_attempt_at is not None and outlook.next_attempt_at > now:
        until = duration((outlook.next_attempt_at - now).total_seconds())
        return [f"{plural(outlook.retries_waiting, 'item')} to be tried again, the next in {until}"]
    return []


def remark(view: ImportView, outlook: Forecast | None, installation: Installation) -> str:
    """Rate, time left, failures and pauses in a few words."""
    parts = ["no worker"] if view.has_no_worker else []
    parts += _waits(outlook, installation.clock.now()) if outlook is not None else []
    if view.figures.duration_seconds > 1:
        parts.append(f"{view.items_per_second or 0:.1f} items/s")
    if outlook is not None and outlook.eta_seconds is not None and view.done:
        parts.append(f"{duration(outlook.eta_seconds)} left")
    if view.figures.items_failed_count:
        parts.append(f"{view.figures.items_failed_count} failed")
    if view.figures.rate_limit_hits_count:
        parts.append(f"{view.figures.rate_limit_hits_count} x 429")
    if view.paused_until is not None:
        left = (view.paused_until - installation.clock.now()).total_seconds()
        parts.append(f"paused by the API for {duration(max(0.0, left))}")
    return ", ".join(parts)
