"""The statuses of imports and items, their transitions, and the statuses that displays derive from them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from import_pipeline.errors import InvalidTransition
from import_pipeline.wording import sentence


class ImportStatus(StrEnum):
    """The statuses of an import."""

    SCHEDULED = "scheduled"  #: waits for its time; becomes running or cancelled
    RUNNING = "running"  #: at most one per source; becomes completed, failed or cancelled
    COMPLETED = "completed"  #: every item was imported, was unchanged, or failed permanently; stays
    FAILED = "failed"  #: ended before all items were done, with a reason; stays
    CANCELLED = "cancelled"  #: ended or never started, on the request of a person or by a rule; stays


class ItemStatus(StrEnum):
    """The statuses of one item in one import."""

    PENDING = "pending"  #: known, not yet claimed by a worker; becomes processing
    PROCESSING = "processing"  #: claimed by a worker under a lease; becomes completed, failed, or pending again
    COMPLETED = "completed"  #: imported or unchanged; stays
    FAILED = "failed"  #: with a next attempt: waits for it, becomes processing; without one: failed permanently


class LeftOut(StrEnum):
    """The end of a completed item whose details are not stored."""

    SKIPPED = "skipped"  #: the source does not import it
    GONE = "gone"  #: the API no longer has it


class ImportKind(StrEnum):
    """The kinds of imports, by what they cover."""

    FULL = "full"  #: the list, then every item's details
    INCREMENTAL = "incremental"  #: what changed since the bookmark, then its details
    DISCOVERY = "discovery"  #: only the list
    SELECTION = "selection"  #: only chosen items


#: The kinds that bring a source up to date: all of it, or all that changed.
WHOLE_KINDS = frozenset({ImportKind.FULL, ImportKind.INCREMENTAL})


class Trigger(StrEnum):
    """The triggers of an import."""

    SCHEDULE = "schedule"  #: a slot
    REQUEST = "request"  #: a person's request, outside the slots
    RESCHEDULE = "reschedule"  #: a person moved the next slot to now
    CLI = "cli"  #: `import-pipeline run`, or `run_import`
    UI = "ui"  #: a run launched in Dagster
    RETRY = "retry"  #: the failed items of another import


IMPORT_TRANSITIONS: Mapping[ImportStatus, frozenset[ImportStatus]] = {
    ImportStatus.SCHEDULED: frozenset({ImportStatus.RUNNING, ImportStatus.CANCELLED}),
    ImportStatus.RUNNING: frozenset({ImportStatus.COMPLETED, ImportStatus.FAILED, ImportStatus.CANCELLED}),
    ImportStatus.COMPLETED: frozenset(),
    ImportStatus.FAILED: frozenset(),
    ImportStatus.CANCELLED: frozenset(),
}
ITEM_TRANSITIONS: Mapping[ItemStatus, frozenset[ItemStatus]] = {
    ItemStatus.PENDING: frozenset({ItemStatus.PROCESSING}),
    ItemStatus.PROCESSING: frozenset({ItemStatus.COMPLETED, ItemStatus.FAILED, ItemStatus.PENDING}),
    ItemStatus.FAILED: frozenset({ItemStatus.PROCESSING}),
    ItemStatus.COMPLETED: frozenset(),
}
#: Shown instead of `scheduled` after the scheduled time: first `due`, later `overdue`. No row holds them.
DUE, OVERDUE = "due", "overdue"
#: Time from `due` to `overdue`: a sensor ticks every few seconds, and a run takes some time to begin.
DUE_FOR = timedelta(seconds=60)
#: Shown instead of these three for the import of a slot whose schedule is switched off.
SCHEDULE_OFF = "schedule is off"
#: Shown instead of `running` if the import is stalled. No row holds it.
NO_WORKER = "no worker"
#: Finds imports in which items failed, whatever their status. No row holds it.
WITH_FAILURES = "with failures"
#: All statuses that a list can be filtered by.
DISPLAY_STATUSES = (*(status.value for status in ImportStatus), WITH_FAILURES, DUE, OVERDUE, SCHEDULE_OFF, NO_WORKER)
ENDED = frozenset(status for status, following in IMPORT_TRANSITIONS.items() if not following)
UNENDED = tuple(status for status, following in IMPORT_TRANSITIONS.items() if following)


def statuses_before(target: ImportStatus) -> frozenset[ImportStatus]:
    """Return the statuses that may become the target, for the WHERE of a guarded UPDATE."""
    return frozenset(status for status, following in IMPORT_TRANSITIONS.items() if target in following)


def check_transition(what: str, found: ImportStatus, wanted: ImportStatus) -> None:
    """Raise InvalidTransition if the status found may not become the one wanted."""
    if wanted not in IMPORT_TRANSITIONS[found]:
        raise InvalidTransition(what, wanted, found)


def is_overdue(status: ImportStatus, scheduled_at: datetime | None, now: datetime) -> bool:
    """Return True if a scheduled import has not started within DUE_FOR after its time."""
    return status is ImportStatus.SCHEDULED and scheduled_at is not None and scheduled_at < now - DUE_FOR


def display_status(
    status: ImportStatus, scheduled_at: datetime | None, now: datetime, *, is_held_back: bool = False
) -> str:
    """Return the status to show: `due` and `overdue` apart from `scheduled`, SCHEDULE_OFF if it is held back."""
    if is_held_back and status is ImportStatus.SCHEDULED:
        return SCHEDULE_OFF
    if is_overdue(status, scheduled_at, now):
        return OVERDUE
    is_due = status is ImportStatus.SCHEDULED and scheduled_at is not None and scheduled_at < now
    return DUE if is_due else status.value


def with_failed_items(status: str, failed: int) -> str:
    """Return `completed, 3 failed` for a completed import with failed items, otherwise the status."""
    return f"{status}, {failed} failed" if failed and status == ImportStatus.COMPLETED else status


def with_reason(reason: str, status: str) -> str:
    """Prefix the reason with the status, as in `failed: the token is refused`, unless it begins with it."""
    return reason if reason.lower().startswith(status) else f"{status}: {reason}"


def end_sentence(reason: str, status: str) -> str:
    """Return how and why an import ended, as in `Failed: the token is refused.` or `Cancelled by Ada.`"""
    return sentence(with_reason(reason, status))
