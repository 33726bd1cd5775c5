"""Import rows as the database returns them, for tests without a database."""

from datetime import UTC, datetime
from typing import Any

from import_pipeline.rules.status import ImportKind, ImportStatus, Trigger
from import_pipeline.tracking.imports import ImportRow

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def an_import(**changed: Any) -> ImportRow:
    """Return a scheduled import of `items`, due at NOON, with the given changes."""
    values: dict[str, Any] = dict.fromkeys(ImportRow.__dataclass_fields__) | {
        "id": 7,
        "source": "items",
        "importable_type": "ImportedItem",
        "kind": ImportKind.FULL,
        "trigger": Trigger.SCHEDULE,
        "status": ImportStatus.SCHEDULED,
        "scheduled_at": NOON,
        "items_imported_count": 0,
        "items_unchanged_count": 0,
        "items_failed_count": 0,
        "items_skipped_count": 0,
        "items_gone_count": 0,
        "requests_count": 0,
        "rate_limit_hits_count": 0,
        "rate_limit_sleeps_count": 0,
        "total_sleep_seconds": 0.0,
        "finalize_attempts": 0,
        "resumes": 0,
        "fence": 0,
        "metadata": {},
        "created_at": NOON,
        "updated_at": NOON,
    }
    return ImportRow(**values | changed)
