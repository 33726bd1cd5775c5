"""Measure the cost of age: a tick of the sensor and the panel's pages, after many imports and with many items.

    python benchmarks/age.py [--imports 50000] [--items 1000000]

Runs on SQLite and on a Postgres server that the benchmark starts; SQL statements create the rows. Prints milliseconds
of wall time and of this process's CPU time, the median of several calls.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import httpx
from sqlalchemy import text

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parents[1])

from import_pipeline.defs.build import build_import_definitions
from import_pipeline.defs.instance import open_instance
from import_pipeline.importer.control.scheduling import tick
from import_pipeline.importer.installation import Installation, open_installation
from import_pipeline.panel.app import create_panel
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.database_servers import PostgresServer

CALLS = 15
PAGES = ("/", "/?status=failed&sort=-hits&page=3", "/?source=items&page=200", "/api/imports", "/metrics")
SQLITE_NUMBERS = (
    "(WITH RECURSIVE made(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM made WHERE n < {count}) SELECT n FROM made)"
)
POSTGRES_NUMBERS = "generate_series(1, {count}) AS made(n)"
SQLITE_AT = "datetime('now', '-' || ({back}) || ' hours')"
POSTGRES_AT = "date_trunc('hour', now()) - {back} * interval '1 hour'"
#: Import rows, one every three hours into the past; every ninth failed.
IMPORTS = """
INSERT INTO imports (source, importable_type, kind, trigger, status, slot_at, scheduled_at, started_at, ended_at,
    items_count, items_imported_count, requests_count, rate_limit_hits_count, failure_reason, created_at, updated_at)
SELECT 'items', 'imported_items', 'full', 'schedule', CASE WHEN n % 9 = 0 THEN 'failed' ELSE 'completed' END,
    {at}, {at}, {at}, {at}, 400, 400, 404, n % 7, CASE WHEN n % 9 = 0 THEN 'the API answers 500' END, {at}, {at}
FROM {numbers}
"""
ITEMS = """
INSERT INTO source_items (source, external_id, first_import_id, last_import_id, version, number)
SELECT 'items', CAST(n AS TEXT), 1, {imports}, 'v', n FROM {numbers}
"""
STATUSES = """
INSERT INTO import_item_statuses (import_id, importable_type, external_id, status)
SELECT {imports}, 'imported_items', CAST(n AS TEXT), 'completed' FROM {numbers}
"""


def fill(installation: Installation, imports: int, items: int) -> None:
    """Insert imports, source items, and an item row of the newest import for each item."""
    sqlite = installation.database.is_sqlite

    numbers, at = (SQLITE_NUMBERS, SQLITE_AT) if sqlite else (POSTGRES_NUMBERS, POSTGRES_AT)
    at = at.format(back=f"({imports} - n + 1) * 3")
    with installation.database.write() as connection:
        connection.execute(text(IMPORTS.format(at=at, numbers=numbers.format(count=imports))))
        for statement in (ITEMS, STATUSES):
            connection.execute(text(statement.format(imports=imports, numbers=numbers.format(count=items))))
    with installation.database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


@contextmanager
def databases() -> Iterator[dict[str, dict[str, str]]]:
    """Yield the settings of an empty installation on each database."""
    with tempfile.TemporaryDirectory() as folder, PostgresServer() as server:
        base = {"ITEMS_BASE_URL": "http://127.0.0.1:9", "ITEMS_LIMITS": "50/2 second"}
        yield {
            "SQLite": base | {"IMPORT_PIPELINE_HOME": f"{folder}/sqlite"},
            "Postgres": base | {"IMPORT_PIPELINE_HOME": f"{folder}/pg", "DATABASE_URL": server.create_database()},
        }


async def median(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the median milliseconds of a call, of wall time and of CPU time. The first call is not counted."""
    walls, cpus = [], []
    for number in range(CALLS + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        await call()
        if number:
            walls.append((time.perf_counter() - wall) * 1000)
            cpus.append((time.process_time() - cpu) * 1000)
    return statistics.median(walls), statistics.median(cpus)


async def aged(imports: int, items: int) -> dict[str, tuple[float, float]]:
    """Fill the installation that the environment names, and return the cost of each operation."""
    found = {}
    with open_installation(load_settings()) as installation, open_instance(installation.settings) as instance:
        source = installation.source("items")
        fill(installation, imports, items)

        async def rules() -> None:
            tick(installation, source)

        found["the sensor's rules"] = await median(rules)
        [sensor] = build_import_definitions(ItemsSource()).sensors or ()

        async def sensor_tick() -> None:
            sensor.evaluate_tick(dg.build_sensor_context(instance=instance))

        found["a whole tick of the sensor"] = await median(sensor_tick)
        transport = httpx.ASGITransport(app=create_panel(installation))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3001") as client:
            for path in PAGES:

                async def page(path: str = path) -> None:
                    (await client.get(path)).raise_for_status()

                found[f"panel {path}"] = await median(page)
    return found


def environment(variables: dict[str, str]) -> None:
    """Set the environment variables of this process."""
    os.environ.pop("DATABASE_URL", None)
    os.environ.update(variables, DAGSTER_HOME=str(Path(__file__).parents[1]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imports", type=int, default=50_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    options = parser.parse_args()
    print(f"{options.imports} imports, {options.items} items; load average {os.getloadavg()[0]:.1f}")
    print(f"{'operation':46}{'wall ms':>10}{'CPU ms':>10}")
    with databases() as kinds:
        for kind, variables in kinds.items():
            environment(variables)
            for name, (wall, cpu) in asyncio.run(aged(options.imports, options.items)).items():
                print(f"{kind + ', ' + name:46}{wall:>10.1f}{cpu:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
