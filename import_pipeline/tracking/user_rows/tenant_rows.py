"""Rows of several tenants in one table: the column `tenant` holds the name of the source that imported the row.

The same external id of two tenants is two rows. Every statement on such a table is bound to one tenant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from import_pipeline.contracts import Importable, ImportSource
from import_pipeline.contracts.importable import has_tenants
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.tables import source_items
from import_pipeline.tracking.user_rows.model_columns import table_of

#: The key of a row's owner among its attributes. Mapped attributes have other names.
_OWNER = "import_pipeline_owner"


@dataclass(frozen=True, kw_only=True)
class RowOwner:
    """The source that rows belong to, and the other tenants that write to the same rows."""

    source: str
    siblings: frozenset[str] = frozenset()


def owned(row: Importable, source: ImportSource) -> Importable:
    """Return the row, which belongs to the source from now on."""
    vars(row)[_OWNER] = RowOwner(source=source.name, siblings=source.siblings)
    if has_tenants(type(row)):
        row.tenant = source.name  # type: ignore[attr-defined]
    return row


def owner_of(row: Importable) -> RowOwner | None:
    """Return the owner of a row that an import has made or loaded."""
    return vars(row).get(_OWNER)


def identity_of(model: type[Any]) -> tuple[str, ...]:
    """Return the columns that identify an item's row."""
    return ("tenant", "external_id") if has_tenants(model) else ("external_id",)


def of_tenant(model: type[Any], source: str | None) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for the rows of a source; none if its table has no tenants."""
    if not has_tenants(model):
        return ()
    if source is None:
        raise ValueError(f"{model.__name__}: its rows belong to tenants, and none is named")
    return (table_of(model).c.tenant == source,)


def of_same_tenant(model: type[Any], rows: Sequence[Importable]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for the rows of the tenant that these rows have; none if their table has no tenants."""
    if not rows or not has_tenants(model):
        return ()
    owner = owner_of(rows[0])
    return of_tenant(model, getattr(rows[0], "tenant", None) if owner is None else owner.source)


def id_of_sibling(connection: Connection, owner: RowOwner, keys: Sequence[Any]) -> tuple[str, str] | None:
    """Return an id that another tenant of the table imported first, and that tenant; None if there is none."""
    if not owner.siblings:
        return None
    own = source_items.alias()
    first = select(own.c.first_import_id).where(own.c.source == owner.source)
    for some in chunks([str(key) for key in keys]):
        before = first.where(own.c.external_id == source_items.c.external_id).scalar_subquery()
        found = select(source_items.c.external_id, source_items.c.source).where(
            source_items.c.source.in_(sorted(owner.siblings)),
            source_items.c.external_id.in_(some),
            source_items.c.gone_at.is_(None),
            or_(before.is_(None), source_items.c.first_import_id < before),
        )
        row = connection.execute(found.limit(1)).first()
        if row is not None:
            return row.external_id, row.source
    return None


def taken_sentence(model: type[Any], external_id: str, source: str) -> str:
    """Return why an id of another tenant is refused, and what to do."""
    return (
        f"{source} has an item {external_id}, too, and both would be one row of {table_of(model).name}: with "
        "TenantMixin in place of ImportableMixin, each tenant has rows of its own"
    )
