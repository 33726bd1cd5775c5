"""Measure what idle sources cost Dagster: CPU of its daemon and of the process that evaluates the sensors.

    python benchmarks/daemon.py [--sources 1 20 100] [--seconds 60] [--only SQLite]

Starts `dagster-daemon run` with that many sources that have nothing to do, on SQLite and on a Postgres server that the
benchmark starts. It waits until each sensor has ticked, then measures the CPU seconds of all its processes.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parents[1])

import dagster as dg

from import_pipeline.defs.build import join_definitions
from import_pipeline.defs.instance import open_instance
from import_pipeline.importer.source_loader import load_sources
from import_pipeline.settings import load_settings
from import_pipeline_tests.support.database_servers import PostgresServer

#: The sources: classes of their own, since tenants of one class need a model that names the tenant.
MODULE = """
import os
from import_pipeline.sources.items import ItemsSource
NAMES = [f"items{number}" for number in range(int(os.environ["BENCHMARK_SOURCES"]))]
SOURCES = [type(name.title(), (ItemsSource,), {"name": name})() for name in NAMES]
"""
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PATIENCE_SECONDS = 600
WARM_UP_SECONDS = 30  #: after the first ticks: schedules and code are loaded meanwhile


def environment(folder: Path, count: int, database_url: str | None) -> dict[str, str]:
    """Return the variables of an installation with that many sources, whose slots are far away."""
    slot = (datetime.now(UTC) + timedelta(hours=12)).strftime("%H:%M")
    found = {
        "IMPORT_PIPELINE_HOME": str(folder / "home"),
        "IMPORT_PIPELINE_SOURCES": "idle_sources:SOURCES",
        "BENCHMARK_SOURCES": str(count),
        "DAGSTER_HOME": str(Path(__file__).parents[1]),
        "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[1]}",
        "PYTHONWARNINGS": "ignore",
    }
    for number in range(count):
        found |= {f"ITEMS{number}_SLOTS": slot, f"ITEMS{number}_LIMITS": "50/2 second"}
    return found | ({"DATABASE_URL": database_url} if database_url else {})


@contextmanager
def daemon(variables: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Dagster's daemon with the processes that it starts."""
    command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-m", "import_pipeline.definitions"]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cpu_seconds(group: int) -> float:
    """Return the CPU seconds of all processes of the group, and of their ended children."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += sum(int(each) for each in fields[11:15])
    return total / TICKS_A_SECOND


def wait_for_ticks(variables: dict[str, str], sensors: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until each sensor has ticked twice."""
    settings = load_settings({**os.environ, **variables})
    deadline = time.monotonic() + PATIENCE_SECONDS
    with open_instance(settings) as instance:
        while True:
            states = [each for each in instance.all_instigator_state() if each.instigator_type.value == "SENSOR"]
            ticked = [
                len(instance.get_ticks(each.instigator_origin_id, each.selector_id, limit=2)) == 2 for each in states
            ]
            if sum(ticked) >= sensors:
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the daemon did not tick all sensors: {sum(ticked)} of {sensors}")
            time.sleep(2)


def measured(count: int, database_url: str | None, seconds: float) -> tuple[int, float]:
    """Return the number of jobs, sensors and schedules, and the CPU share of a core with that many idle sources."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "idle_sources.py").write_text(MODULE)
        variables = environment(folder, count, database_url)
        objects, sensors = defined(variables, folder)
        with daemon(variables, folder) as process:
            wait_for_ticks(variables, sensors, process)
            time.sleep(WARM_UP_SECONDS)
            before, began = cpu_seconds(process.pid), time.monotonic()
            time.sleep(seconds)
            return objects, (cpu_seconds(process.pid) - before) / (time.monotonic() - began)


def defined(variables: dict[str, str], folder: Path) -> tuple[int, int]:
    """Return the number of jobs, sensors and schedules together, and that of the sensors."""
    os.environ.update(variables)
    sys.path.append(str(folder))
    sys.modules.pop("idle_sources", None)
    settings = load_settings()
    repository = join_definitions(load_sources(settings), settings).get_repository_def()
    sys.path.remove(str(folder))
    jobs = [each for each in repository.job_names if not each.startswith("__ASSET_JOB")]
    sensors = [each for each in repository.sensor_defs if isinstance(each, dg.SensorDefinition)]
    return len(jobs) + len(sensors) + len(repository.schedule_defs), len(sensors)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, nargs="+", default=[1, 20, 100])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", choices=["SQLite", "Postgres"])
    options = parser.parse_args()
    print(f"{'sources':>8}  {'database':10}{'jobs, sensors, schedules':>26}{'CPU of a core':>15}{'load':>7}")
    with PostgresServer() as server:
        for count in options.sources:
            for kind in ("SQLite", "Postgres"):
                if options.only in {None, kind}:
                    url = server.create_database() if kind == "Postgres" else None
                    objects, share = measured(count, url, options.seconds)
                    load = os.getloadavg()[0]
                    print(f"{count:>8}  {kind:10}{objects:>26}{share:>15.1%}{load:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
