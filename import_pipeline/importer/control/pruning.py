"""Delete item rows of old imports, in batches; keep what a retry still needs."""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.installation import Installation
from import_pipeline.tracking import retention

#: Item rows deleted in one transaction; readers and writers go on in between.
BATCH = 5000


#: Of them the sensor does so many at each of its ticks.
BATCHES_PER_TICK = 2


def prune(
    installation: Installation,
    days: float,
    batch: int = BATCH,
    *,
    source: str | None = None,
    most_batches: int | None = None,
) -> int:
    """Drop the item rows of imports that ended so many days ago, failed ones excepted; returns how many rows.

    Each batch is a transaction of its own, so that readers and writers wait for none. Import rows, their counters and
    events stay, and so does all that was imported; what the kept items failed of is summed up in an event.
    `most_batches` leaves the rest to the next call. What a retry that has not ended is to import stays (`kept_rows`).
    """
    now = installation.clock.now()
    sources = None if source is None else [source]
    dropped, batches = 0, 0
    while most_batches is None or batches < most_batches:
        with installation.database.read() as connection:
            import_id = retention.next_import(connection, now - timedelta(days=days), sources)
        if import_id is None:
            break
        dropped += installation.transact(partial(_drop, import_id=import_id, batch=batch, now=now))
        batches += 1
    return dropped


def _drop(connection: Connection, import_id: int, batch: int, now: datetime) -> int:
    if retention.is_needed(connection, import_id):  # a retry may have been asked for since the look
        return 0
    some = retention.drop_batch(connection, import_id, batch)
    if some < batch:
        retention.conclude(connection, import_id, now)
    return some


def kept_rows(installation: Installation, days: float) -> list[int]:
    """The imports of which `prune` drops nothing although they are old enough: a retry still needs their rows."""
    with installation.database.read() as connection:
        return retention.kept(connection, installation.clock.now() - timedelta(days=days))


def sources_with_imports(installation: Installation) -> list[str]:
    """The names of all sources that ever had an import, listed by the settings or not."""
    with installation.database.read() as connection:
        return retention.sources(connection)


def prune_by_age(installation: Installation, source: ImportSource) -> int:
    """Some of what the source's `prune_days` asks for: as much as a sensor has time for. Returns how many rows."""
    if source.prune_days is None:
        return 0
    return prune(installation, source.prune_days, source=source.name, most_batches=BATCHES_PER_TICK)
