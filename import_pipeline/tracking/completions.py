"""Completed imports, for downstream assets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from import_pipeline.rules.status import ImportKind, ImportStatus, ItemStatus
from import_pipeline.tracking.tables import import_item_statuses, imports

#: Most imports returned, the newest ones: one whole import among them covers all before it.
MOST = 200
#: The kinds of imports that cover their own items only.
PARTIAL = (ImportKind.SELECTION, ImportKind.INCREMENTAL)


@dataclass(frozen=True, kw_only=True)
class Completed:
    """A completed import. A selection covers its own items only, a full one the whole source.

    An incremental one counts as a selection of what changed.
    """

    import_id: int
    ended_at: datetime
    is_selection: bool


def completed_since(connection: Connection, source: str, moment: datetime) -> list[Completed]:
    """Return the source's imports that completed at that moment or later, in the order of their ends."""
    statement = (
        select(imports.c.id, imports.c.ended_at, imports.c.kind)
        .where(imports.c.source == source, imports.c.status == ImportStatus.COMPLETED, imports.c.ended_at >= moment)
        .order_by(imports.c.ended_at.desc(), imports.c.id.desc())
        .limit(MOST)
    )
    return [
        Completed(import_id=row.id, ended_at=row.ended_at, is_selection=row.kind in PARTIAL)
        for row in reversed(connection.execute(statement).all())
    ]


def items_of(connection: Connection, import_ids: Sequence[int]) -> list[str] | None:
    """Return the external ids that these imports completed; None for the whole source, if one covers it."""
    kinds = connection.scalars(select(imports.c.kind).where(imports.c.id.in_(import_ids))).all()
    if not import_ids or any(kind not in PARTIAL for kind in kinds):
        return None
    columns = import_item_statuses.c
    imported_ids = select(columns.external_id).distinct()
    imported_ids = imported_ids.where(columns.import_id.in_(import_ids), columns.status == ItemStatus.COMPLETED)
    return list(connection.scalars(imported_ids.order_by(columns.external_id)))
