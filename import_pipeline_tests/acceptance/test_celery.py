"""An import shared by runs on a distributed engine: Dagster's Celery launcher, a Redis broker, two workers."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest

from import_pipeline_tests.acceptance.command_line import BIN, eventually, stats
from import_pipeline_tests.acceptance.dagster_dev import DagsterDev

pytestmark = [pytest.mark.timeout(500), pytest.mark.nightly]
LAUNCHER = """
run_launcher:
  module: dagster_celery.launcher
  class: CeleryRunLauncher
  config:
    broker: {broker}
    backend: {broker}
"""


class Celery(DagsterDev):
    """`dagster dev` that sends every run to one of two Celery workers."""

    def __init__(self, checkout, folder, broker):
        super().__init__(checkout, folder, ITEMS_SHARDS="4", ITEMS_LEASE="10", DAGSTER_HOME=str(checkout))
        self.checkout = checkout
        with (checkout / "dagster.yaml").open("a") as instance:
            instance.write(LAUNCHER.format(broker=broker))
        settings = f'broker_url = result_backend = "{broker}"\nworker_prefetch_multiplier = 1\n'
        (checkout / "dagster_celery_config.py").write_text(settings)

    @contextmanager
    def worker(self, name):
        """A worker with two slots, in its own process group."""
        command = [str(BIN / "celery"), "-A", "dagster_celery.app", "worker", "-n", name, "-c", "2", "-Q", "dagster"]
        with (self.home.parent / f"{name}.log").open("w") as said:
            process = subprocess.Popen(
                command,
                cwd=self.checkout,
                env={**os.environ, **self.dagster.environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def celery(checkout, tmp_path, redis_url):
    own = shutil.copytree(checkout, tmp_path / "checkout")
    living = Celery(own, tmp_path, redis_url)
    try:
        living.start()
        yield living
    finally:
        living.end()


def test_an_import_is_shared_by_two_celery_workers_and_survives_the_death_of_one(celery):
    with (
        celery.serving("--items", "900", "--delay-after", "400"),
        celery.worker("first") as first,
        celery.worker("second"),
    ):
        celery.command.run("request", "items")
        number = celery.wait_for("started_at IS NOT NULL")["id"]
        busy = f"SELECT * FROM import_shards WHERE import_id = {number} AND requests_count > 0"
        eventually(lambda: len(celery.query(busy)) == 3, "three shards are at work", seconds=120)
        os.killpg(first.pid, signal.SIGKILL)
        eventually(lambda: celery.row(number)["ended_at"], "the other worker has done the rest", seconds=200)
        done, seen = celery.row(number), stats(celery.api)
    assert (done["status"], done["items_imported_count"], done["rate_limit_hits_count"]) == ("completed", 900, 0)
    assert len(seen["repeated_details"]) <= 2 * 3, "at most what two runs had in flight"
    [events] = celery.query("SELECT count(*) AS ends FROM import_events WHERE action = 'import_completed'")
    assert events["ends"] == 1
