"""Measure the cost of Dagster's report of an item: CPU time per event, and bytes in the event store.

    python benchmarks/events.py [--events 3000] [--batch 500] [--postgres URL]

Dagster's own SQLite class, this project's class and optionally Dagster's Postgres storage store the same
materializations. The ratio compares each with Dagster's own SQLite class in the same run. A second table shows how the
store grows when the same items are imported repeatedly, with and without pruning, which keeps only the newest event of
each item.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parent.parent)

import click
import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster_postgres import PostgresEventLogStorage

from import_pipeline.defs.metadata import of_item
from import_pipeline.defs.storage.classes import store_materializations
from import_pipeline.defs.storage.event_retention import drop_superseded
from import_pipeline.defs.storage.sqlite_events import BatchingEventLog
from import_pipeline.defs.translation import keys
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.sources.items import ItemsSource

RUN = dg.DagsterRun(job_name="import_items", run_id="00000000-0000-4000-8000-000000000000")
IMPORTS = 6  #: imports of the same items
TAGS = keys.materialization_tags(ItemsSource(), RUN.run_id)


@click.command()
@click.option("--events", default=3000, show_default=True, help="Materializations to store.")
@click.option("--batch", default=500, show_default=True, help="Materializations per write.")
@click.option("--postgres", help="URL of an empty Postgres database.")
def main(events: int, batch: int, postgres: str | None) -> None:
    """Print CPU milliseconds and bytes per event, and the ratio to Dagster's own SQLite class."""
    stores: dict[str, Callable[[str], EventLogStorage]] = {
        "SQLite, Dagster's own class": SqliteEventLogStorage,
        "SQLite, in batches": BatchingEventLog,
    }
    if postgres:
        stores["Postgres, in batches"] = lambda folder: PostgresEventLogStorage(postgres)
    click.echo(f"{events} events, {batch} in one write")
    click.echo(f"{'store':<32}{'CPU ms/event':>14}{'wall ms/event':>15}{'bytes/event':>13}{'ratio':>8}")
    base = 0.0
    for name, kind in stores.items():
        # Dagster's own class is slow: fewer events measure it well enough.
        count = min(events, batch) if not base else events
        with tempfile.TemporaryDirectory() as folder, opened(kind, folder) as log:
            cpu, wall = measure(log, count, batch)
            size = sum(each.stat().st_size for each in Path(folder).rglob("*.db")) / (count + 1)
        base = base or cpu
        shown = f"{size:,.0f}" if size else "-"
        click.echo(f"{name:<32}{cpu * 1000:>14.2f}{wall * 1000:>15.2f}{shown:>13}{cpu / base:>8.3f}")
    click.echo(f"\n{events} items, imported {IMPORTS} times: MB in the event store after each (SQLite)")
    for pruned in (False, True):
        sizes = " ".join(f"{size / 1e6:8.1f}" for size in growth(events, batch, pruned=pruned))
        click.echo(f"{'pruned after each' if pruned else 'not pruned':<32}{sizes}")


def growth(events: int, batch: int, *, pruned: bool) -> Iterator[int]:
    """Yield the size of the event store in bytes after each import of the same items."""
    with tempfile.TemporaryDirectory() as folder, opened(BatchingEventLog, folder) as log:
        for number in range(IMPORTS):
            run = dg.DagsterRun(job_name="import_items", run_id=f"00000000-0000-4000-8000-{number:012}")
            for first in range(0, events, batch):
                store(log, range(first, min(first + batch, events)), run)
            if pruned:
                drop_superseded(Instance(log), ["items"], datetime.now(UTC))  # type: ignore[arg-type]
            yield sum(each.stat().st_size for each in Path(folder).rglob("*.db*"))


class Instance:
    """The part of a Dagster instance that is needed here: its event log."""

    def __init__(self, log: EventLogStorage) -> None:
        self.event_log_storage = log


@contextmanager
def opened(kind: Callable[[str], EventLogStorage], folder: str) -> Iterator[EventLogStorage]:
    """Open the event log."""
    with dg.DagsterInstance.ephemeral() as instance:
        log = kind(folder)
        log.register_instance(instance)
        yield log


def measure(log: EventLogStorage, events: int, batch: int) -> tuple[float, float]:
    """Return the seconds of CPU time and wall time per event, including the creation of the events."""
    store(log, range(1))  # creates the databases
    cpu, wall = time.process_time(), time.perf_counter()
    for first in range(1, events + 1, batch):
        store(log, range(first, min(first + batch, events + 1)))
    return (time.process_time() - cpu) / events, (time.perf_counter() - wall) / events


def store(log: EventLogStorage, numbers: range, run: dg.DagsterRun = RUN) -> None:
    """Store a materialization for each number, as an import does."""
    made = [
        dg.AssetMaterialization(
            asset_key="enriched_items",
            partition=str(number),
            metadata=of_item(StoredItem(external_id=str(number), tries=1, request_seconds=0.021, http_status=200), 7),
            tags=TAGS,
        )
        for number in numbers
    ]
    store_materializations(Instance(log), run, "discover_and_enrich_items", made)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
