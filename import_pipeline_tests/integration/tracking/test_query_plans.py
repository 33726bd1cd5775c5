"""The statements of an import of a million items: each finds its rows by an index, on both databases."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, insert, select, text, update

from import_pipeline.rules.status import ImportKind, ImportStatus, ItemStatus, Trigger
from import_pipeline.sources.items import ImportedItem
from import_pipeline.tracking import claims, heartbeats, imports, items, queries, retention, transitions
from import_pipeline.tracking import source_items as versions
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.heartbeats import Pulse
from import_pipeline.tracking.history import importable_type
from import_pipeline.tracking.imports import NewImport
from import_pipeline.tracking.leases import ImportLease
from import_pipeline.tracking.lists.leftovers import left, take_over
from import_pipeline.tracking.lists.list_pages import Discovered, Page, store_page
from import_pipeline.tracking.schema import upgrade
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports as imports_table
from import_pipeline.tracking.tables import source_items
from import_pipeline.tracking.user_rows.generations import delete_unlisted
from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline.tracking.workers import Worker
from import_pipeline_tests.support.import_rows import NOON

ADA = Worker(id="ada", host="machine", pid=1)
BIG = ("import_item_statuses", "source_items", "imported_items")
#: Each doubles the 32 items of an import: enough for Postgres to weigh an index against reading everything.
SUFFIXES = "abcdefg"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request, tmp_path_factory):
    """Three imports of the same items: an ended one, one that runs, and a new one that takes over what was left."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'tracking.db'}"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    database = Database(url)
    upgrade(database)
    ensure_table(database, ImportedItem)
    with database.write() as connection:
        rows = [begin(connection, source) for source in ("items", "others", "more")]
        for row in rows[:2]:
            connection.execute(insert(statuses), [item(row, number) for number in range(32)])
            connection.execute(insert(source_items), [version(row, number) for number in range(32)])
        connection.execute(insert(ImportedItem), [{"external_id": str(number), "name": "a"} for number in range(32)])
        for suffix in SUFFIXES:
            for table in (statuses, source_items, ImportedItem.__table__):
                double(connection, table, suffix)
        ended = {"status": ImportStatus.COMPLETED, "ended_at": NOON, "pid": None}
        connection.execute(update(imports_table).where(imports_table.c.id == rows[1].id).values(**ended))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    yield database
    database.close()


def begin(connection, source):
    new = NewImport(
        source=source, importable_type=importable_type(ImportedItem), kind=ImportKind.FULL, trigger=Trigger.CLI
    )
    return transitions.start(connection, imports.create(connection, new, NOON).id, ADA, NOON, None)


def item(row, number):
    status = {1: ItemStatus.PENDING, 2: ItemStatus.FAILED, 3: ItemStatus.FAILED}.get(number, ItemStatus.COMPLETED)
    return {
        "import_id": row.id,
        "importable_type": row.importable_type,
        "importable_id": str(number),
        "external_id": str(number),
        "status": status,
        "completed_at": NOON if status is ItemStatus.COMPLETED else None,
        "next_attempt_at": NOON if number == 3 else None,
        "metadata": {},
    }


def version(row, number):
    return {"source": row.source, "external_id": str(number), "first_import_id": row.id, "last_import_id": row.id}


def double(connection, table, suffix):
    """As many rows again, under other ids."""
    names = [column.name for column in table.columns if column.name != "id"]
    again = [(table.c[name] + suffix).label(name) if name == "external_id" else table.c[name] for name in names]
    connection.execute(insert(table).from_select(names, select(*again)))


def plans_of(database, action):
    """(statement, plan) of all that the action asks of the big tables; what it writes is taken back."""
    asked = []

    def keep(connection, cursor, statement, parameters, context, executemany):
        if re.match(r"(SELECT|UPDATE|DELETE|INSERT)", statement) and any(name in statement for name in BIG):
            asked.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    with database.engine.connect() as connection:
        event.listen(database.engine, "before_cursor_execute", keep)
        try:
            action(connection)
        finally:
            event.remove(database.engine, "before_cursor_execute", keep)
            connection.rollback()
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        found = []
        for statement, parameters in asked:
            lines = connection.exec_driver_sql(explain + statement, parameters).all()
            found.append((statement, "\n".join(str(line[-1]) for line in lines)))
        connection.rollback()
    return found


def lease(connection):
    row = imports.running(connection, "items")
    return row, ImportLease(import_id=row.id, fence=row.fence, worker=ADA.id, seconds=60)


def works(connection):
    """A worker's batch: claimed, stored, failed, and its heartbeat."""
    row, mine = lease(connection)
    taken = claims.claim(connection, mine, 20, NOON)
    claims.claim(connection, mine, 20, NOON + timedelta(hours=1), retries=False)
    heartbeats.beat(connection, mine, NOON, Pulse())
    done = [Done(claim=each, importable=ImportedItem(external_id=each.external_id, name="b")) for each in taken[:10]]
    claims.complete(connection, row, mine, ImportedItem, done, NOON)
    claims.fail(
        connection, mine, [Failure(claim=each, reason="boom", next_attempt_at=None) for each in taken[10:]], NOON
    )


def waits_for_lost_claims(connection):
    """Nothing is left to claim but what another worker has lost."""
    row, mine = lease(connection)
    pending = (statuses.c.import_id == row.id, statuses.c.status == ItemStatus.PENDING)
    connection.execute(update(statuses).where(*pending).values(status=ItemStatus.COMPLETED))
    claims.claim(connection, mine, 20, NOON - timedelta(days=1))


def reads_a_page(connection):
    row, mine = lease(connection)
    found = [Discovered(external_id=str(n), importable=ImportedItem(external_id=str(n)), version="1") for n in range(9)]
    assert store_page(connection, row, mine, ImportedItem, Page(items=found, checkpoint={}), NOON) == 0


def looks(connection):
    row, _ = lease(connection)
    assert items.remaining(connection, row.id).pending > 0
    assert items.failures(connection, row.id)
    items.unfinished(connection, row.id)
    assert queries.finished_at(connection, row.id, 100)
    assert queries.failures_by_reason(connection, row.id)


def ends(connection):
    row, mine = lease(connection)
    versions.mark_removed(connection, row, NOON, 0.2)
    items.close_failed(connection, row.id, NOON)
    transitions.end(connection, mine, NOON, ImportStatus.COMPLETED)


def ends_afresh(connection):
    row, mine = lease(connection)
    one = (source_items.c.source == row.source, source_items.c.external_id == "1")
    connection.execute(update(source_items).where(*one).values(last_import_id=0))
    assert delete_unlisted(connection, row, mine, ImportedItem, NOON).count == 1


def retries(connection):
    other, _ = lease(connection)
    row = imports.running(connection, "more")
    mine = ImportLease(import_id=row.id, fence=row.fence, worker=ADA.id, seconds=60)
    take_over(connection, replace(row, retry_of=other.id), mine, NOON, None)


def looks_for_slices(connection):
    other, _ = lease(connection)
    assert left(connection, replace(other, slices_count=1)).slices == 0


def prunes(connection):
    import_id = retention.next_import(connection, NOON + timedelta(days=1))
    assert retention.drop_batch(connection, import_id, 100) == 100
    retention.conclude(connection, import_id, NOON)


@pytest.mark.parametrize(
    "action", [works, waits_for_lost_claims, reads_a_page, looks, ends, ends_afresh, retries, looks_for_slices, prunes]
)
def test_no_statement_reads_a_whole_table(database, action):
    found = plans_of(database, action)
    assert found
    scan = re.compile(rf"(SCAN|Seq Scan on) ({'|'.join(BIG)})\b")
    assert [(statement, plan) for statement, plan in found if scan.search(plan)] == []


def test_a_statement_that_reads_a_whole_table_is_noticed(database):
    found = plans_of(
        database, lambda connection: connection.execute(select(statuses).where(statuses.c.failure_count > 3))
    )
    assert "SCAN" in found[0][1].upper()
