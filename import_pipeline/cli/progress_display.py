"""The live display of a running import, drawn from the tracking rows."""

import sys
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from import_pipeline.cli.output.formatting import not_imported, open_console, say
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.monitoring.view import Forecast, ImportView
from import_pipeline.wording import duration, plural

REFRESH_SECONDS = 0.25
LINE_SECONDS = 5.0  #: between two lines without a terminal


class ProgressLines(Progress):
    """A line with bar, count, percentage and time, and a remark below it that is cut at the edge of the terminal."""

    def __init__(self, console: Console) -> None:
        self._remark = ""
        # Columns of text keep their width. The bar gives way, but never entirely.
        super().__init__(
            SpinnerColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(min_width=10, ratio=1)),
            TextColumn("{task.fields[count]}", style="progress.download"),
            TextColumn("{task.fields[percent]}", style="progress.percentage"),
            TextColumn("{task.fields[elapsed]}", style="yellow"),  # the import's, not the watcher's
            console=console,
            expand=True,
            transient=True,
        )
        self._bar = self.add_task("starting", total=None, count="", percent="", elapsed="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the line and the remark."""
        yield from super().get_renderables()
        if self._remark:
            yield Text(f"  {self._remark}", no_wrap=True, overflow="ellipsis")

    def show(self, view: ImportView, remark: str) -> None:
        """Draw the view of a running import."""
        description = Text(f"{view.row.source} {view.row.status.value}")
        description.truncate(self.console.width // 3, overflow="ellipsis")
        self._remark = ", ".join(filter(None, [*not_imported(view.figures, has_colors=False), remark]))
        self.update(
            self._bar,
            description=escape(description.plain),
            total=view.row.items_count,
            completed=view.done,
            count=f"{view.done}/{'?' if view.row.items_count is None else view.row.items_count}",
            percent="" if view.percent is None else f"{int(view.percent)}%",
            elapsed=duration(view.figures.duration_seconds),
        )


class LiveDisplay:
    """A bar on a terminal, or a line every few seconds; drawn by a thread while the context lasts."""

    def __init__(self, installation: Installation, import_id: int) -> None:
        self._installation = installation
        self._import_id = import_id
        self._usage = UsageReader(settings=installation.settings, clock=installation.clock)
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
        """Block until the import has ended."""
        self._thread.join()

    def _run(self) -> None:
        if sys.stderr.isatty():
            self._show_bar()
        else:
            self._print_lines()
        self._usage.close()

    def _read(self) -> tuple[ImportView, Forecast | None] | None:
        try:
            return import_progress(self._installation, self._import_id, self._usage)
        except DatabaseUnavailable:
            return None

    def _show_bar(self) -> None:
        with ProgressLines(self._console) as progress:
            while not self._update(progress) and not self._stop.wait(REFRESH_SECONDS):
                pass

    def _update(self, progress: ProgressLines) -> bool:
        """Redraw the bar from the rows; return True once the import has ended."""
        if (read := self._read()) is None:
            return False
        view, forecast = read
        if view.row.started_at is None:
            return False
        progress.show(view, remark(view, forecast, self._installation))
        return view.has_ended

    def _print_lines(self) -> None:
        printed_at = time.monotonic()
        while not self._stop.wait(REFRESH_SECONDS):
            if (read := self._read()) is None:
                continue
            view, forecast = read
            if view.row.started_at is not None and (view.has_ended or time.monotonic() - printed_at >= LINE_SECONDS):
                printed_at = time.monotonic()
                say(self._console, line(view, forecast, self._installation))
            if view.has_ended:
                return


def line(view: ImportView, forecast: Forecast | None, installation: Installation) -> str:
    """Return the progress as one line, for an output without a bar."""
    total = "?" if view.row.items_count is None else view.row.items_count
    others = "".join(f", {each}" for each in not_imported(view.figures, has_colors=False))
    after = f"{',' * bool(others)} after {duration(view.figures.duration_seconds)}"
    parts = [
        f"{view.done} of {total} items done{others}{after}",
        remark(view, forecast, installation),
    ]
    return f"{view.row.source} {view.row.status.value}: {', '.join(filter(None, parts))}"


def _waits(forecast: Forecast, now: datetime) -> list[str]:
    """Return what the import waits for, except permits."""
    if forecast.waits_for is not None and forecast.waits_until is None:
        return [f"{forecast.waits_for}; no requests until it is back"]
    if forecast.waits_for is not None and forecast.waits_until is not None:
        return [
            f"{forecast.waits_for}: tries again in {duration(max(0.0, (forecast.waits_until - now).total_seconds()))}"
        ]
    if forecast.retries_waiting and forecast.next_attempt_at is not None and forecast.next_attempt_at > now:
        until = duration((forecast.next_attempt_at - now).total_seconds())
        return [f"{plural(forecast.retries_waiting, 'item')} waiting for a retry, the next in {until}"]
    return []


def remark(view: ImportView, forecast: Forecast | None, installation: Installation) -> str:
    """Return rate, time left and pauses in a few words."""
    parts = ["no worker"] if view.has_no_worker else []
    parts += _waits(forecast, installation.clock.now()) if forecast is not None else []
    if view.figures.duration_seconds > 1:
        parts.append(f"{view.items_per_second or 0:.1f} items/s")
    if forecast is not None and forecast.eta_seconds is not None and view.done:
        parts.append(f"{duration(forecast.eta_seconds)} left")
    if view.figures.slices_count is not None and view.is_running:
        parts.append(f"{view.figures.slices_completed_count}/{view.figures.slices_count} slices")
    if view.figures.rate_limit_hits_count:
        parts.append(f"{view.figures.rate_limit_hits_count} x 429")
    if view.paused_until is not None:
        left = (view.paused_until - installation.clock.now()).total_seconds()
        parts.append(f"paused by the API for {duration(max(0.0, left))}")
    return ", ".join(parts)
