"""Figures of imports in Prometheus' text format."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.monitoring.view import Forecast, ImportView
from import_pipeline.importer.summary import ImportSummary, count_later_imports
from import_pipeline.panel.context import Panel, panel_of
from import_pipeline.rules.status import ImportStatus
from import_pipeline.tracking import queries, schedules

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: Request) -> Response:
    """Return the metrics for Prometheus. Labels are sources, statuses and tiers, of which there are few."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(panel_of(request)))
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE})


#: name -> (meaning, figure of the latest full import)
LATEST: dict[str, tuple[str, str]] = {
    "import_items": ("Total items of the latest full import", "items_count"),
    "import_items_imported": ("Items imported by the latest full import", "items_imported_count"),
    "import_items_unchanged": ("Items unchanged in the latest full import", "items_unchanged_count"),
    "import_items_failed": (
        "Items failed in the latest full import, not imported since",
        "items_failed_count",
    ),
    "import_items_skipped": ("Items that the source skipped in the latest full import", "items_skipped_count"),
    "import_items_gone": ("Items that the latest full import marked as gone", "items_gone_count"),
    "import_requests": ("Requests sent by the latest full import", "requests_count"),
    "import_rate_limit_hits": ("Responses with status 429 in the latest full import", "rate_limit_hits_count"),
    "import_rate_limit_sleeps": ("Waits for permits in the latest full import", "rate_limit_sleeps_count"),
    "import_sleeping_seconds": ("Seconds that the latest full import waited for permits", "total_sleep_seconds"),
    "import_active_seconds": ("Seconds in which the latest full import did not wait", "active_seconds"),
    "import_retry_wait_seconds": (
        "Seconds in which the latest full import only waited for the next tries of failed items",
        "retry_wait_seconds",
    ),
    "import_duration_seconds": (
        "Seconds from the latest full import's start to its end or now",
        "duration_seconds",
    ),
    "import_ideal_ratio": ("Duration of the latest full import / the least time under the limits", "ideal_ratio"),
}


PREFIX = "import_pipeline_"


class Figures:
    """A collector of prometheus-client that reads the figures at each scrape."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all metrics."""
        yield from self._imports()
        full = [(name, self._figures(import_id)) for name, import_id in self._ids(queries.latest_whole)]
        for metric, (meaning, figure) in LATEST.items():
            yield _family(metric, meaning, [(name, getattr(figures, figure)) for name, figures in full])
        latest = [(name, *self._progress(import_id)) for name, import_id in self._ids(queries.latest_started)]
        yield _family("import_running", "1 while an import of the source runs", _running(latest))
        yield _family("import_heartbeat_timestamp_seconds", "Last heartbeat of the running import", _beats(latest))
        yield self._completed()
        yield self._schedules()
        left = [(name, forecast.eta_seconds) for name, _, forecast in latest if forecast is not None]
        yield _family("import_left_seconds", "Least seconds until the running import ends", left)
        yield from self._permits()

    def _imports(self) -> Iterator[GaugeMetricFamily]:
        installation = self._panel.installation
        family = GaugeMetricFamily(f"{PREFIX}imports", "Imports by status", labels=["source", "status"])
        now = installation.clock.now()
        with installation.database.read() as connection:
            counted = queries.counts(connection, now)
        for (source, status), number in sorted(counted.items()):
            family.add_metric([source, status], number)
        yield family

    def _completed(self) -> GaugeMetricFamily:
        installation = self._panel.installation
        with installation.database.read() as connection:
            ends = [(each.name, queries.latest_completed(connection, each.name)) for each in installation.sources]
        values = [(name, None if end is None else end.timestamp()) for name, end in ends]
        return _family("import_completed_timestamp_seconds", "When a full import last completed", values)

    def _schedules(self) -> GaugeMetricFamily:
        installation = self._panel.installation
        with installation.database.read() as connection:
            off = [(each.name, schedules.off_since(connection, each.name)) for each in installation.sources]
        values: list[tuple[str, float | None]] = [(name, float(since is None)) for name, since in off]
        return _family("schedule_on", "0 while the schedule of the source is off", values)

    def _ids(self, find: Callable[[Connection, str], int | None]) -> list[tuple[str, int]]:
        """Return (source, id) of the import that is found for each source; sources without one are left out."""
        installation = self._panel.installation
        with installation.database.read() as connection:
            found = [(each.name, find(connection, each.name)) for each in installation.sources]
        return [(name, import_id) for name, import_id in found if import_id is not None]

    def _progress(self, import_id: int) -> tuple[ImportView, Forecast | None]:
        return import_progress(self._panel.installation, import_id, self._panel.usage_reader)

    def _figures(self, import_id: int) -> ImportSummary:
        view, _ = self._progress(import_id)
        with self._panel.installation.database.read() as connection:
            return count_later_imports(connection, view.figures)

    def _permits(self) -> Iterator[GaugeMetricFamily]:
        used = GaugeMetricFamily(f"{PREFIX}permits_used", "Permits used in a tier", labels=["api", "tier"])
        most = GaugeMetricFamily(f"{PREFIX}permits_limit", "Permits of a tier", labels=["api", "tier"])
        paused = GaugeMetricFamily(f"{PREFIX}paused_seconds", "Seconds left of the API's pause", labels=["api"])
        up = GaugeMetricFamily(f"{PREFIX}limiter_up", "1 while the rate-limit store answers", labels=["api"])
        now = self._panel.installation.clock.now()
        for source in {each.api: each for each in self._panel.installation.sources}.values():
            usage = self._panel.usage_reader.usage(source)
            up.add_metric([source.api], float(usage is not None))
            if usage is None:
                continue
            for tier in usage.tiers:
                labels = [source.api, f"{tier.amount}/{tier.seconds}s {tier.endpoint}".rstrip()]
                used.add_metric(labels, tier.used)
                most.add_metric(labels, tier.amount)
            if usage.concurrent is not None and usage.in_flight is not None:
                used.add_metric([source.api, "concurrent"], usage.in_flight)
                most.add_metric([source.api, "concurrent"], usage.concurrent)
            left = (usage.paused_until - now).total_seconds() if usage.paused_until else 0.0
            paused.add_metric([source.api], max(0.0, left))
        yield from (up, used, most, paused)


def _running(latest: list[tuple[str, ImportView, Forecast | None]]) -> list[tuple[str, float | None]]:
    return [(name, float(view.row.status is ImportStatus.RUNNING)) for name, view, _ in latest]


def _beats(latest: list[tuple[str, ImportView, Forecast | None]]) -> list[tuple[str, float | None]]:
    running = [(name, view.row.heartbeat_at) for name, view, _ in latest if view.row.status is ImportStatus.RUNNING]
    return [(name, None if at is None else at.timestamp()) for name, at in running]


def _family(name: str, meaning: str, values: list[tuple[str, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}{name}", meaning, labels=["source"])
    for source, value in values:
        if value is not None:
            family.add_metric([source], value)
    return family
