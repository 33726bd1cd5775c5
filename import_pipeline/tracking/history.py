"""The import history of one item, and of one row of the user's table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select
from sqlalchemy.orm import Session, object_mapper, object_session

from import_pipeline.contracts.importable import has_tenants
from import_pipeline.errors import UsageError
from import_pipeline.rules.status import ItemStatus, LeftOut
from import_pipeline.tracking.tables import import_item_statuses, imports, source_items
from import_pipeline.tracking.user_rows.model_columns import table_of


@dataclass(frozen=True, kw_only=True)
class ItemHistory:
    """The state of an item in one import."""

    import_id: int
    status: ItemStatus
    failure_count: int
    failure_reason: str | None
    last_failed_at: datetime | None
    next_attempt_at: datetime | None
    completed_at: datetime | None
    left_out: LeftOut | None = None  #: the end of a completed item whose details are not stored
    left_out_reason: str | None = None


#: The columns that are read as they are; the others come from the row's metadata.
_PLAIN = tuple(name for name in ItemHistory.__dataclass_fields__ if not name.startswith("left_out"))
_SELECTED = select(*(import_item_statuses.c[name] for name in _PLAIN), import_item_statuses.c.metadata)


@dataclass(frozen=True, kw_only=True)
class KnownItem:
    """An item of a source, as its imports know it."""

    source: str
    external_id: str
    first_import_id: int
    last_import_id: int
    version: str | None
    gone_at: datetime | None


def known_items(connection: Connection, sources: Sequence[str], external_id: str) -> list[KnownItem]:
    """Return the item of that id of each source that has it, by the name of the source."""
    columns = [source_items.c[name] for name in KnownItem.__dataclass_fields__]
    found = select(*columns).where(source_items.c.source.in_(sources), source_items.c.external_id == external_id)
    return [KnownItem(**row._mapping) for row in connection.execute(found.order_by(source_items.c.source))]


def history_of(
    connection: Connection, source: str, type_name: str, external_id: str, limit: int = 100
) -> list[ItemHistory]:
    """Return the states of an item in the imports of its source, newest first."""
    columns = import_item_statuses.c
    statement = (
        _SELECTED.join(imports, imports.c.id == columns.import_id)
        .where(columns.importable_type == type_name, columns.external_id == external_id, imports.c.source == source)
        .order_by(columns.id.desc())
        .limit(limit)
    )
    return [_history(row) for row in connection.execute(statement).mappings()]


def _history(row: RowMapping) -> ItemHistory:
    values = {name: row[name] for name in _PLAIN}
    facts = row["metadata"]
    left_out = LeftOut(facts["left_out"]) if "left_out" in facts else None
    reason = facts.get("reason") if left_out else None
    return ItemHistory(
        **values | {"status": ItemStatus(row["status"]), "left_out": left_out, "left_out_reason": reason}
    )


def importable_type(model: type[Any]) -> str:
    """Return the name of the user's class in tracking: its table's name with schema, since modules may move."""
    return table_of(model).fullname


def _of_tenant(row: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for imports of the row's own tenant; none if its table has no tenants."""
    if not has_tenants(type(row)):
        return ()
    return (import_item_statuses.c.import_id.in_(select(imports.c.id).where(imports.c.source == row.tenant)),)


class HasImportStatus:
    """Mixin for the user's mapped class: its rows have an import history. Adds no column and no foreign key."""

    external_id: Any

    def statuses(self, limit: int = 100) -> list[ItemHistory]:
        """Return the row's history, newest import first. Raises UsageError if the row belongs to no session."""
        session = object_session(self)
        if session is None:
            raise UsageError(
                f"{type(self).__name__}.statuses: expected a row that belongs to a session, got a detached one. "
                "Call it before the session is closed, or add the row to one"
            )
        return self._statuses(session, limit)

    def latest_status(self) -> ItemHistory | None:
        """Return the row's state in its latest import; None if it was never imported."""
        return next(iter(self.statuses(limit=1)), None)

    def _statuses(self, session: Session, limit: int) -> list[ItemHistory]:
        columns = import_item_statuses.c
        statement = (
            _SELECTED.where(
                columns.importable_type == importable_type(type(self)),
                columns.external_id == str(self.external_id),
                *_of_tenant(self),
            )
            .order_by(columns.id.desc())
            .limit(limit)
        )
        # A session may have several databases: the tracking tables are in the row's own.
        rows = session.execute(statement, bind_arguments={"mapper": object_mapper(self)})
        return [_history(row) for row in rows.mappings()]
