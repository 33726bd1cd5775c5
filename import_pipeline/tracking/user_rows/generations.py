"""End a fresh import: delete the rows of its source that its list no longer has, and no others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select, update
from sqlalchemy import inspect as mapping_of
from sqlalchemy.exc import StatementError

from import_pipeline.contracts.importable import has_tenants
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease, hold
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline.tracking.tables import imports, source_items
from import_pipeline.tracking.user_rows.related_rows import delete_related
from import_pipeline.tracking.user_rows.row_ids import keys_of
from import_pipeline.tracking.user_rows.row_writing import refusal_of
from import_pipeline.tracking.user_rows.tenant_rows import of_tenant


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """The rows that the end of a fresh import has deleted, and the reason to keep others."""

    count: int
    kept: int = 0  #: rows that the database keeps, such as those that others refer to; marked as removed
    reason: str | None = None  #: why these, or all, are kept


def delete_unlisted(connection: Connection, row: ImportRow, lease: Lease, model: type[Any], now: datetime) -> Deleted:
    """Delete the source's earlier rows that this complete import has not discovered. Raises LeaseLost.

    Nothing is deleted if the list has no items, or items without a readable id: it proves nothing about other rows.
    """
    hold(connection, lease, to_write=True)
    unlisted = _unlisted(connection, row)
    if not unlisted:
        return Deleted(count=0)
    if (reason := _doubt(connection, row)) is not None:
        return Deleted(count=0, kept=len(unlisted), reason=reason)
    count, kept, reason = 0, list[str](), None
    for some in chunks(unlisted):
        if _refuses(connection, row, model, some) is None:
            count += len(some)
            continue
        for external_id in some:
            refusal = _refuses(connection, row, model, [external_id])
            reason = refusal or reason
            kept += [external_id] if refusal else []
            count += refusal is None
    for some in chunks(kept):
        mine = (source_items.c.source == row.source, source_items.c.external_id.in_(some))
        connection.execute(update(source_items).where(*mine, source_items.c.gone_at.is_(None)).values(gone_at=now))
    return Deleted(count=count, kept=len(kept), reason=reason)


def _unlisted(connection: Connection, row: ImportRow) -> list[str]:
    last = source_items.c.last_import_id
    others = select(source_items.c.external_id).where(source_items.c.source == row.source)
    return list(connection.scalars(others.where(or_(last < row.id, last > row.id))))


def _doubt(connection: Connection, row: ImportRow) -> str | None:
    """Return why the list proves nothing about rows that it does not have; None if it proves that they were removed."""
    first = select(statuses.c.id).where(statuses.c.import_id == row.id).order_by(statuses.c.status).limit(1)
    if connection.scalar(first) is None:
        return "the list has no items at all"
    known = (
        select(source_items.c.external_id)
        .where(source_items.c.source == row.source, source_items.c.external_id == statuses.c.external_id)
        .limit(1)  # without it Postgres reads the whole table once, instead of a row per failed item
        .scalar_subquery()
    )
    failed = (statuses.c.import_id == row.id, statuses.c.status == ItemStatus.FAILED)
    nameless = connection.scalar(select(func.count()).where(*failed, known.is_(None))) or 0
    if nameless:
        return f"the list has {nameless} items whose id could not be read"
    return None


def _refuses(connection: Connection, row: ImportRow, model: type[Any], external_ids: Sequence[str]) -> str | None:
    """Delete rows and their source items. Return the reason if the database keeps one; then none is deleted.

    A row that another source of the same table has imported too stays: only this source forgets it.
    """
    shared = set[str]() if has_tenants(model) else _imported_by_others(connection, row, external_ids)
    keys = keys_of(model, connection.dialect, [each for each in external_ids if each not in shared])
    try:
        with connection.begin_nested():
            theirs = and_(model.external_id.in_(keys), *of_tenant(model, row.source))
            delete_related(connection, mapping_of(model), theirs)
            connection.execute(delete(model).where(theirs))
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
                connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
    except StatementError as error:
        if (refusal := refusal_of(error, model)) is None:
            raise
        return refusal.reason
    mine = (source_items.c.source == row.source, source_items.c.external_id.in_(external_ids))
    connection.execute(delete(source_items).where(*mine))
    return None


def _imported_by_others(connection: Connection, row: ImportRow, external_ids: Sequence[str]) -> set[str]:
    sharing = select(imports.c.source).where(
        imports.c.importable_type == row.importable_type, imports.c.source != row.source
    )
    theirs = select(source_items.c.external_id).where(
        source_items.c.source.in_(sharing),
        source_items.c.external_id.in_(external_ids),
        source_items.c.gone_at.is_(None),
    )
    return set(connection.scalars(theirs))
