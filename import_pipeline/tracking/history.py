"""What became of one row of the user's, import by import."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import object_session

from import_pipeline.errors import UsageError
from import_pipeline.rules.status import ItemStatus
from import_pipeline.tracking.tables import import_item_statuses as statuses


@dataclass(frozen=True, kw_only=True)
class ItemHistory:
    """One import's account of an item."""

    import_id: int
    status: ItemStatus
    failure_count: int
    failure_reason: str | None
    last_failed_at: datetime | None
    next_attempt_at: datetime | None
    completed_at: datetime | None


def importable_type(model: type[Any]) -> str:
    """What tracking calls the user's class: its table's name, which outlives renamed modules."""
    return str(model.__table__.name)


class HasImportStatus:
    """For the user's mapped class: its rows tell their import history. Adds no column and no foreign key."""

    external_id: Any

    def statuses(self, limit: int = 100) -> list[ItemHistory]:
        """The row's history, newest import first. The row must belong to a session; raises UsageError."""
        session = object_session(self)
        if session is None:
            raise UsageError(
                f"{type(self).__name__}.statuses: expected a row that belongs to a session, got a loose one"
            )
        rows = session.execute(
            select(statuses)
            .where(
                statuses.c.importable_type == importable_type(type(self)),
                statuses.c.external_id == str(self.external_id),
            )
            .order_by(statuses.c.id.desc())
            .limit(limit)
        )
        return [
            ItemHistory(
                import_id=row.import_id,
                status=ItemStatus(row.status),
                failure_count=row.failure_count,
                failure_reason=row.failure_reason,
                last_failed_at=row.last_failed_at,
                next_attempt_at=row.next_attempt_at,
                completed_at=row.completed_at,
            )
            for row in rows
        ]

    def latest_status(self) -> ItemHistory | None:
        """What the latest import that knew the row says of it; None for a row that was never imported."""
        return next(iter(self.statuses(limit=1)), None)
