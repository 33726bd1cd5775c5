"""Import rows: the row as a value, its reads, its creation. `transitions`, `heartbeats`, `counters` change its state.

Every function takes a connection inside a transaction, so that related rows are written together. A lease guards
whatever a worker writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, update

from import_pipeline.errors import ImportNotFound
from import_pipeline.rules.import_metadata import ImportFacts, ImportOptions
from import_pipeline.rules.lists.read_state import ReadState
from import_pipeline.rules.status import WHOLE_KINDS, ImportKind, ImportStatus, Trigger
from import_pipeline.tracking.tables import imports
from import_pipeline.tracking.workers import Worker

#: The largest id that a database can hold; a query for a larger one fails.
BIGGEST_ID = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class ImportRow:
    """One row of `imports`; times are aware UTC."""

    id: int
    source: str
    importable_type: str
    kind: ImportKind
    trigger: Trigger
    status: ImportStatus
    slot_at: datetime | None
    scheduled_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cancelled_at: datetime | None
    items_count: int | None
    items_imported_count: int
    items_unchanged_count: int
    items_failed_count: int
    items_skipped_count: int
    items_gone_count: int
    slices_count: int | None
    slices_completed_count: int
    slices_failed_count: int
    requests_count: int
    rate_limit_hits_count: int
    rate_limit_sleeps_count: int
    total_sleep_seconds: float
    finalize_attempts: int
    last_finalize_attempt_at: datetime | None
    heartbeat_at: datetime | None
    heartbeat_monotonic: float | None
    elapsed_seconds: float | None
    host: str | None
    pid: int | None
    process_began: int | None
    dagster_run_id: str | None
    resumes: int
    fence: int
    run_requested_at: datetime | None
    checkpoint: Mapping[str, Any] | None
    blocked_until: datetime | None
    cancel_requested_at: datetime | None
    requested_by: str | None
    retry_of: int | None
    incomplete_reason: str | None
    failure_reason: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def options(self) -> ImportOptions:
        """The options that the import was created with."""
        return ImportOptions.read(self.metadata)

    @property
    def is_whole(self) -> bool:
        """The import brings its source up to date: no selection, not only the list, no limit."""
        return self.kind in WHOLE_KINDS and self.options.limit is None

    @property
    def items_done(self) -> int:
        """Items that need no more work: imported, unchanged, skipped, gone, or permanently failed."""
        without_details = self.items_skipped_count + self.items_gone_count
        return self.items_imported_count + self.items_unchanged_count + self.items_failed_count + without_details

    @property
    def read_state(self) -> ReadState:
        """The state of reading its lists. Chosen items count as read once they are stored."""
        return ReadState.read(self.checkpoint)

    @property
    def facts(self) -> ImportFacts:
        """The facts that its workers recorded."""
        return ImportFacts.read(self.metadata)

    def metadata_with(self, **facts: Any) -> dict[str, Any]:
        """Return the metadata with these facts changed; None removes one."""
        return replace(self.facts, **facts).store(self.metadata)


@dataclass(frozen=True, kw_only=True)
class NewImport:
    """An import that is not created yet."""

    source: str
    importable_type: str
    kind: ImportKind
    trigger: Trigger
    slot_at: datetime | None = None
    scheduled_at: datetime | None = None
    requested_by: str | None = None
    retry_of: int | None = None
    options: ImportOptions = field(default_factory=ImportOptions)


def parse_row(row: Row[Any]) -> ImportRow:
    """Return a database row as a value."""
    values = dict(row._mapping)
    kinds = {
        "kind": ImportKind(values["kind"]),
        "trigger": Trigger(values["trigger"]),
        "status": ImportStatus(values["status"]),
    }
    return ImportRow(**values | kinds)


def existing(connection: Connection, ids: Iterable[int | None]) -> frozenset[int]:
    """Return those of the ids whose imports are still there."""
    asked = {each for each in ids if each is not None}
    return frozenset(connection.scalars(select(imports.c.id).where(imports.c.id.in_(asked))))


def rows(connection: Connection, statement: Select[Any]) -> list[ImportRow]:
    """Return the rows of a SELECT of all columns."""
    return [parse_row(row) for row in connection.execute(statement)]


def get(connection: Connection, import_id: int, *, locked: bool = False) -> ImportRow:
    """Return the import of this id, locked until the transaction ends if `locked`. Raises ImportNotFound."""
    row = None
    if import_id <= BIGGEST_ID:
        found = select(imports).where(imports.c.id == import_id)
        row = connection.execute(found.with_for_update(key_share=True) if locked else found).one_or_none()
    if row is None:
        raise ImportNotFound(
            f"import {import_id}: no import has this id; `import-pipeline list` shows the existing ones"
        )
    return parse_row(row)


def change(connection: Connection, import_id: int, now: datetime, **values: Any) -> ImportRow:
    """Change columns of an import that this transaction has locked or started; return its row."""
    changed = update(imports).where(imports.c.id == import_id).values(updated_at=now, **values)
    return parse_row(connection.execute(changed.returning(imports)).one())


def lock(connection: Connection, import_id: int) -> None:
    """Lock the import's row in any status, as every writer does first."""
    connection.execute(select(imports.c.id).where(imports.c.id == import_id).with_for_update(key_share=True))


def running(connection: Connection, source: str, *, locked: bool = False) -> ImportRow | None:
    """Return the source's running import, or None. `locked` as in `get`."""
    one = select(imports).where(imports.c.source == source, imports.c.status == ImportStatus.RUNNING)
    found = rows(connection, one.with_for_update(key_share=True) if locked else one)
    return found[0] if found else None


def latest(
    connection: Connection,
    *,
    source: str | None = None,
    statuses: Sequence[ImportStatus] = (),
    limit: int = 20,
    offset: int = 0,
) -> list[ImportRow]:
    """Return imports, newest first."""
    statement = select(imports).order_by(imports.c.id.desc()).limit(limit).offset(offset)
    if source is not None:
        statement = statement.where(imports.c.source == source)
    if statuses:
        statement = statement.where(imports.c.status.in_(statuses))
    return rows(connection, statement)


def has_imported(connection: Connection, source: str) -> bool:
    """Return True if an import of the source has stored an item's details, or has found them stored."""
    has_some = or_(imports.c.items_imported_count > 0, imports.c.items_unchanged_count > 0)
    found = select(imports.c.id).where(imports.c.source == source, has_some)
    return connection.scalar(found.limit(1)) is not None


def row_counts(connection: Connection) -> tuple[int, int]:
    """Return the number of imports and of their item rows, the latter by their counters: no item row is read."""
    row = connection.execute(select(func.count(), func.coalesce(func.sum(imports.c.items_count), 0))).one()
    return int(row[0]), int(row[1])


def create(connection: Connection, new: NewImport, now: datetime, starter: Worker | None = None) -> ImportRow:
    """Create a scheduled import. `starter` is the process that is about to execute it, if there is one yet.

    Raises SQLAlchemy's IntegrityError if the source has an import of this slot already.
    """
    values = {
        "source": new.source,
        "importable_type": new.importable_type,
        "kind": new.kind,
        "trigger": new.trigger,
        "slot_at": new.slot_at,
        "scheduled_at": new.scheduled_at or now,
        "requested_by": new.requested_by,
        "retry_of": new.retry_of,
        "metadata": new.options.dump(),
        "host": starter.host if starter else None,
        "pid": starter.pid if starter else None,
        "process_began": starter.began if starter else None,
        "created_at": now,
        "updated_at": now,
    }
    return parse_row(connection.execute(insert(imports).values(values).returning(imports)).one())
