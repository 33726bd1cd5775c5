"""Workers, items and rows for tests of `tracking`; each step is a transaction of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import MetaData, String, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline.contracts import ImportableMixin
from import_pipeline.rules.status import ImportKind, ItemStatus, Trigger
from import_pipeline.tracking import claims, imports, transitions
from import_pipeline.tracking.claims import Done, Failure
from import_pipeline.tracking.imports import NewImport
from import_pipeline.tracking.leases import ImportLease
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.list_pages import Discovered, Page
from import_pipeline.tracking.tables import import_item_statuses
from import_pipeline.tracking.workers import Worker

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
LEASE_SECONDS = 60.0
ADA = Worker(id="ada", host="machine", pid=1)
BOB = Worker(id="bob", host="machine", pid=2)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


class Base(DeclarativeBase):
    metadata = MetaData()


class Thing(ImportableMixin, Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    note: Mapped[str | None] = mapped_column(String(10))
    amount: Mapped[int | None] = mapped_column()
    changes: Mapped[int] = mapped_column(default=0, server_default="0", onupdate=7)


class Numbered(Base):
    __tablename__ = "numbered"
    external_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(10))


def do(database, action, *arguments, **options):
    """Call a function of `tracking` in a transaction of its own."""
    with database.write() as connection:
        return action(connection, *arguments, **options)


def scheduled(database, source="things", **more):
    new = NewImport(source=source, importable_type="things", kind=ImportKind.FULL, trigger=Trigger.CLI, **more)
    return do(database, imports.create, new, NOON)


def begun(database, source="things", worker=ADA):
    """Start an import; return its row and its worker's lease."""
    row = do(database, transitions.start, scheduled(database, source).id, worker, NOON, None)
    return row, lease_of(row, worker)


def lease_of(row, worker):
    return ImportLease(import_id=row.id, fence=row.fence, worker=worker.id, seconds=LEASE_SECONDS)


def stub(external_id, **values):
    return Discovered(external_id=external_id, importable=Thing(external_id=external_id, **{"name": "a", **values}))


def whole(external_id, **values):
    return replace(stub(external_id, **values), whole=True)


def discover(database, row, lease, *found, total=None, model=Thing):
    page = Page(items=found, checkpoint={"page": 1}, total=total)
    return do(database, list_pages.store_page, row, lease, model, page, NOON)


def claim(database, lease, limit=100, now=NOON):
    return do(database, claims.claim, lease, limit, now)


def details(taken, **values):
    return [
        Done(claim=each, importable=Thing(external_id=each.external_id, **{"name": "b", **values})) for each in taken
    ]


def failures(taken, reason="boom", next_attempt_at=None):
    return [Failure(claim=each, reason=reason, next_attempt_at=next_attempt_at) for each in taken]


def ids(taken):
    return [each.external_id for each in taken]


def current(database, row):
    with database.read() as connection:
        return imports.get(connection, row.id)


def statuses(database, row):
    """Return external_id -> (status, claimed_by)."""
    columns = import_item_statuses.c
    with database.read() as connection:
        found = connection.execute(
            select(columns.external_id, columns.status, columns.claimed_by).where(columns.import_id == row.id)
        )
        return {each.external_id: (each.status, each.claimed_by) for each in found}


def table(database, model=Thing):
    """Return the user's rows."""
    with database.read() as connection:
        rows = connection.execute(select(model.__table__).order_by(model.external_id))
        return [{name: value for name, value in row._mapping.items() if name != "id"} for row in rows]


def counted(database, row):
    """Return the counters of the import row, and the same counted from its items."""
    now = current(database, row)
    columns = import_item_statuses.c
    is_unchanged = columns.metadata["unchanged"].as_boolean()
    with database.read() as connection:

        def number(*conditions):
            return connection.scalar(select(func.count()).where(columns.import_id == row.id, *conditions))

        final = (columns.status == ItemStatus.FAILED, columns.next_attempt_at.is_(None))
        unchanged = number(columns.status == ItemStatus.COMPLETED, is_unchanged)
        said = (now.items_imported_count, now.items_unchanged_count, now.items_failed_count)
        return said, (number(columns.status == ItemStatus.COMPLETED) - unchanged, unchanged, number(*final))
