"""Measure an import of many items: memory, CPU time, queries, database size, and the panel's pages.

    python benchmarks/scale.py [--items 1000,100000] [--postgres] [--show]

Each size is a whole import without Dagster and without limits, in a separate process, with the demo API on the same
cores. Afterwards the panel's pages are requested over its database. Results go to benchmarks/results/scale.jsonl, and
a size that is in there is not run again: a million items can be added later by `--items 1000000` (20 to 60 minutes).
`--show` only prints the table.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parent.parent)

import click
import httpx
from sqlalchemy import Engine, event, text

from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.run_import import run_import
from import_pipeline.panel.app import create_panel
from import_pipeline.settings import load_settings
from import_pipeline_tests.support.database_servers import PostgresServer
from source_api.process import serve

RESULTS = Path(__file__).parent / "results" / "scale.jsonl"
LOOKS = 9
COLUMNS = {
    "seconds": ("{:.0f} s", "time"),
    "rss_mb": ("{:.0f} MB", "peak memory"),
    "cpu_ms": ("{:.3f} ms", "CPU/item"),
    "queries": ("{:.3f}", "queries/item"),
    "bytes": ("{:.0f} B", "database/item"),
    "list_ms": ("{:.1f} ms", "list page"),
    "detail_ms": ("{:.1f} ms", "import page"),
    "metrics_ms": ("{:.1f} ms", "/metrics"),
}


@click.command()
@click.option("--items", "sizes", default="1000,100000", show_default=True, help="Numbers of items, comma-separated.")
@click.option("--postgres", is_flag=True, help="Use Postgres (from the development extras) instead of SQLite.")
@click.option("--show", is_flag=True, help="Print the stored results; run nothing.")
@click.option("--part", type=click.Choice(["import", "panel"]), hidden=True)
def main(sizes: str, postgres: bool, show: bool, part: str | None) -> None:
    """Print the table."""
    if part is not None:
        click.echo(json.dumps(measure_import() if part == "import" else asyncio.run(measure_panel())))
        return
    database = "Postgres" if postgres else "SQLite"
    for size in [] if show else [int(each) for each in sizes.split(",")]:
        if not any((row["items"], row["database"]) == (size, database) for row in measured()):
            keep({"items": size, "database": database, **measure(size, postgres=postgres)})
    show_table()


def measured() -> list[dict[str, Any]]:
    """Return the stored results."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def keep(row: dict[str, Any]) -> None:
    """Append a result to the file."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as results:
        results.write(json.dumps(row) + "\n")


def show_table() -> None:
    """Print the sizes of each database, and the cost of the largest as a ratio to the smallest."""
    rows = sorted(measured(), key=lambda row: (row["database"], row["items"]))
    click.echo(f"{'database':<10}{'items':>10}" + "".join(f"{name:>15}" for _, name in COLUMNS.values()))
    for database in dict.fromkeys(row["database"] for row in rows):
        own = [row for row in rows if row["database"] == database]
        for row in own:
            cells = "".join(f"{form.format(row[key]):>15}" for key, (form, _) in COLUMNS.items())
            click.echo(f"{database:<10}{row['items']:>10,}{cells}")
        if len(own) > 1:
            ratios = "".join(f"{own[-1][key] / own[0][key]:>15.2f}" for key in COLUMNS)
            click.echo(f"{database:<10}{'ratio':>10}{ratios}")


def measure(items: int, *, postgres: bool) -> dict[str, Any]:
    """Run one import of that size, then request the panel's pages."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(serve("--limits", "none", "--items", str(items), seconds=300))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ITEMS_")},
            "IMPORT_PIPELINE_HOME": home,
            "IMPORT_PIPELINE_SOURCES": "benchmarks.unlimited:SOURCES",
            "ITEMS_BASE_URL": url,
            "ITEMS_CONCURRENCY": "20",
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        environment.pop("DATABASE_URL", None)
        if postgres:
            environment["DATABASE_URL"] = stack.enter_context(PostgresServer()).create_database()
        return run_part("import", environment) | run_part("panel", environment)


def run_part(part: str, environment: dict[str, str]) -> dict[str, Any]:
    """Measure one part in a fresh process."""
    command = [sys.executable, __file__, "--part", part]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure_import() -> dict[str, Any]:
    """Run the import in this process and return its figures."""
    queries = 0

    @event.listens_for(Engine, "before_cursor_execute")
    def count(*_: Any) -> None:
        nonlocal queries
        queries += 1

    before = resource.getrusage(resource.RUSAGE_SELF)
    summary = run_import("items")
    after = resource.getrusage(resource.RUSAGE_SELF)
    items = summary.items_imported_count
    if summary.status != "completed" or items != summary.items_count:
        raise SystemExit(f"the import is {summary.status} with {items} items")
    return {
        "seconds": summary.duration_seconds,
        "rss_mb": after.ru_maxrss / 1024,
        "cpu_ms": 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / items,
        "queries": queries / items,
        "bytes": database_bytes() / items,
    }


def database_bytes() -> int:
    """Return the size of the tracking database and the user's table in bytes."""
    settings = load_settings()
    with open_installation(settings) as installation:
        if settings.is_postgres:
            with installation.database.read() as connection:
                return int(connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)
        with installation.database.engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return sum(path.stat().st_size for path in settings.home.glob("import_pipeline.db*"))


async def measure_panel() -> dict[str, float]:
    """Return the median milliseconds of wall time of the panel's pages, after the import."""
    with open_installation(load_settings()) as installation:
        transport = httpx.ASGITransport(app=create_panel(installation))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3001") as client:
            paths = {"list_ms": "/", "detail_ms": "/imports/1", "metrics_ms": "/metrics"}
            return {name: await median(client, path) for name, path in paths.items()}


async def median(client: httpx.AsyncClient, path: str) -> float:
    """Return the median milliseconds that the page takes."""
    times = []
    for _ in range(LOOKS):
        begin = time.perf_counter()
        answer = await client.get(path)
        answer.raise_for_status()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


if __name__ == "__main__":
    main()
