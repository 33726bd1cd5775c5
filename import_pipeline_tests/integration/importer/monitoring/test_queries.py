"""A running import, watched: the forecast of its end is honest, and watching sends nothing."""

import threading
import time

import pytest

from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.monitoring.queries import import_progress
from import_pipeline.importer.run_import import run_import
from import_pipeline.tracking import imports
from import_pipeline_tests.support.imports import demo_api, settings

LIMITS = "50/2 second; 200/10 second"


@pytest.mark.nightly
def test_the_forecast_end_is_the_real_one_within_three_per_cent(home, monkeypatch):
    """At a quarter, a half and three quarters of an import that takes 40 s at the least."""
    with demo_api(items=800, limits=LIMITS) as url:
        watched = settings(home, url, ITEMS_LIMITS=LIMITS)
        for name, value in watched.environment.items():
            monkeypatch.setenv(name, value)
        worker = threading.Thread(target=run_import, args=("items",))
        worker.start()
        foreseen = _watch(watched)
        worker.join()
    assert foreseen["hits"] == 0
    took = foreseen.pop("took")
    for part in (25, 50, 75):
        assert foreseen[part] == pytest.approx(took, rel=0.03), foreseen


def _watch(watched):
    """Part done in per cent -> how long the import was then said to take in all; and what it took."""
    foreseen = {}
    with open_installation(watched) as installation:
        usage_reader = UsageReader(settings=watched, clock=installation.clock)
        while True:
            time.sleep(0.1)
            with installation.database.read() as connection:
                if not imports.latest(connection, limit=1):
                    continue
            view, forecast = import_progress(installation, 1, usage_reader)
            for part in (25, 50, 75):
                if part not in foreseen and forecast and forecast.eta_seconds and (view.percent or 0) >= part:
                    foreseen[part] = view.figures.duration_seconds + forecast.eta_seconds
            if view.has_ended:
                usage_reader.close()
                figures = view.figures
                return foreseen | {"took": figures.duration_seconds, "hits": figures.rate_limit_hits_count}
