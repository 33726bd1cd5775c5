"""A simulated installation: tests move its clock, and execute each step of a worker.

No request is sent, and nothing waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, func, select

from import_pipeline.importer.control.scheduling import tick
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.lifecycle.finish import complete, end
from import_pipeline.importer.lifecycle.take_over import lease_of, start_or_take_over
from import_pipeline.rules.status import ImportStatus, ItemStatus, Trigger
from import_pipeline.settings import SourceSettings, load_settings
from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.testing import FakeClock
from import_pipeline.tracking import claims, events, heartbeats, imports, scheduling, transitions
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.lists import leftovers, list_pages
from import_pipeline.tracking.lists.list_pages import Discovered, Page
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.tables import import_item_statuses, import_requests, tracking_metadata
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline.tracking.workers import Worker

#: Between the slots of nine and of noon.
TEN = datetime(2030, 6, 1, 10, tzinfo=UTC)
ADA = Worker(id="ada", host="elsewhere", pid=1)  # on another machine: only its heartbeat shows that it lives
BOB = Worker(id="bob", host="elsewhere", pid=2)


def at(hour, day=1):
    return datetime(2030, 6, day, hour, tzinfo=UTC)


def items_source(**settings):
    """Return the example's source; without settings it has slots every three hours of UTC."""
    return ItemsSource().configured(SourceSettings(**settings))


class SimulatedInstallation:
    """An installation with a fake clock."""

    def __init__(self, database, now=TEN, source=None):
        self.database = database
        self.clock = FakeClock(now)
        self.source = source or items_source()
        settings = load_settings({"DATABASE_URL": "sqlite:///unused", "IMPORT_PIPELINE_HOME": "/unused"}, Path("/"))
        self.installation = Installation(
            settings=settings, sources=(self.source,), database=database, clock=self.clock, chance=lambda: 0.5
        )

    @property
    def now(self):
        return self.clock.now()

    def advance(self, **passed):
        """Advance the clock."""
        self.clock.advance(timedelta(**passed).total_seconds())

    def call(self, action, *arguments, **options):
        """Call a function of `tracking` in a transaction of its own."""
        with self.database.write() as connection:
            return action(connection, *arguments, **options)

    def tick(self, **options):
        return tick(self.installation, self.source, **options)

    def slot(self, moment):
        """Create the scheduled import of that slot, as a tick does; return its id."""
        assert self.call(scheduling.create_slot, new_import(self.source, Trigger.SCHEDULE, slot_at=moment), self.now)
        return self.all()[-1].id

    def begin(self, import_id, worker=ADA, run_id=None):
        return SimulatedWorker(
            self, start_or_take_over(self.database, self.source, import_id, worker, self.clock, run_id), worker
        )

    def launch(self, worker=ADA, run_id=None):
        """Tick, and start the import that is to be launched."""
        [launched] = self.tick().launches
        return self.begin(launched.import_id, worker, run_id)

    def get(self, import_id):
        with self.database.read() as connection:
            return imports.get(connection, import_id)

    def all(self):
        with self.database.read() as connection:
            return imports.latest(connection, limit=100_000)[::-1]

    def overview(self):
        """Return id -> (trigger, status, slot) of every import."""
        return {row.id: (row.trigger.value, row.status.value, row.slot_at) for row in self.all()}

    def event_sentences(self, import_id):
        """Return (action, sentence) of every event of an import."""
        with self.database.read() as connection:
            return [(action, sentence) for _, action, sentence in events.latest(connection, import_id)]

    def actions(self, import_id):
        return [action for action, _ in self.event_sentences(import_id)]

    def requests(self):
        """Return the rows of all requests."""
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(select(import_requests))]

    def item_counts(self, import_id):
        """Return the number of items in each status."""
        columns = import_item_statuses.c
        with self.database.read() as connection:
            counted = (
                select(columns.status, func.count()).where(columns.import_id == import_id).group_by(columns.status)
            )
            return {ItemStatus(status): count for status, count in connection.execute(counted)}


class SimulatedWorker:
    """A worker of one import; each method is one step."""

    def __init__(self, simulation, row, worker):
        self.simulation = simulation
        self.row = row
        self.lease = lease_of(row, simulation.source, worker)

    def discover(self, *ids, done=True, stopped=None, version="1"):
        """Store a page of the list. `done`: it is the last one; `stopped`: the reason why the list ended there."""
        found = [
            Discovered(external_id=each, importable=ImportedItem(external_id=each), version=version) for each in ids
        ]
        checkpoint = {"page": 1, "complete": done, "stopped": stopped}
        page = Page(items=found, checkpoint=checkpoint, total=len(ids) if done else None)
        return self.simulation.call(
            list_pages.store_page, self.row, self.lease, ImportedItem, page, self.simulation.now
        )

    def select(self):
        """Select the items of a retry."""
        self.simulation.call(leftovers.take_over, self.row, self.lease, self.simulation.now, None)

    def beat(self):
        self.simulation.call(heartbeats.beat, self.lease, self.simulation.now, heartbeats.Pulse())

    def claim(self, limit=100):
        return self.simulation.call(claims.claim, self.lease, limit, self.simulation.now)

    def succeed(self, taken):
        done = [Done(claim=each, importable=ImportedItem(external_id=each.external_id, name="a")) for each in taken]
        self.simulation.call(claims.complete, self.row, self.lease, ImportedItem, done, self.simulation.now)

    def fail(self, taken, again=None):
        """Record a failed try of each; the next one is due after `again`, None: there is none."""
        next_attempt_at = None if again is None else self.simulation.now + again
        failed = [Failure(claim=each, reason="boom", next_attempt_at=next_attempt_at) for each in taken]
        self.simulation.call(claims.fail, self.lease, failed, self.simulation.now)

    def complete(self):
        complete(self.simulation.database, self.row, self.lease, self.simulation.now)

    def end(self, status, reason="so it went"):
        end(self.simulation.database, self.lease, self.simulation.now, status, reason)

    def leave(self):
        self.simulation.call(transitions.release, self.lease, self.simulation.now)

    def import_all(self, *ids):
        """Import these items successfully, to the end."""
        self.discover(*ids)
        self.succeed(self.claim())
        self.complete()


@contextmanager
def tracking_database(url) -> Iterator[Database]:
    """Open a database with all tables."""
    database = Database(url)
    try:
        upgrade(database)
        ensure_table(database, ImportedItem)
        yield database
    finally:
        database.close()


def delete_all_rows(database):
    """Delete all rows: creating the tables again would take longer than a test."""
    with database.write() as connection:
        for table in (*reversed(tracking_metadata.sorted_tables), ImportedItem.__table__):
            connection.execute(delete(table))


RUNNING, COMPLETED, FAILED, CANCELLED = (
    ImportStatus.RUNNING,
    ImportStatus.COMPLETED,
    ImportStatus.FAILED,
    ImportStatus.CANCELLED,
)
