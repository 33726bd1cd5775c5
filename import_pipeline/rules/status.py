"""The statuses of imports and items, which may follow which, and what is derived from them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from import_pipeline.errors import InvalidTransition


class ImportStatus(StrEnum):
    """Where an import stands."""

    SCHEDULED = "scheduled"  #: waits for its time; becomes running or cancelled
    RUNNING = "running"  #: at most one per source; becomes completed, failed or cancelled
    COMPLETED = "completed"  #: every item was imported, unchanged, or has failed for good; stays
    FAILED = "failed"  #: ended before its items did, with a reason; stays
    CANCELLED = "cancelled"  #: ended or never started, because somebody or a rule wished it; stays


class ItemStatus(StrEnum):
    """Where one item of one import stands."""

    PENDING = "pending"  #: known, not yet taken by a worker; becomes processing
    PROCESSING = "processing"  #: a worker holds it under a lease; becomes completed, failed, or pending again
    COMPLETED = "completed"  #: imported or unchanged; stays
    FAILED = "failed"  #: with a next attempt: waits for it, becomes processing; without: failed for good


class ImportKind(StrEnum):
    """What an import covers."""

    FULL = "full"  #: the list, then every item's details
    DISCOVERY = "discovery"  #: only the list
    SELECTION = "selection"  #: only chosen items


class Trigger(StrEnum):
    """What started an import."""

    SCHEDULE = "schedule"  #: a slot
    REQUEST = "request"  #: a person's wish, outside the slots
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
#: What people see in place of `scheduled` once the time is past: at first that its start is awaited, then that nobody
#: has started it; in no row.
DUE, OVERDUE = "due", "overdue"
#: For so long a start is awaited: a sensor looks every few seconds, and a run takes its time to begin.
DUE_FOR = timedelta(seconds=60)
#: What people see in place of all of these for the import of a slot whose schedule a person has switched off.
SCHEDULE_OFF = "schedule is off"
#: What people see in place of `running` where its process is gone; in no row.
NO_WORKER = "no worker"
#: All statuses that a list is filtered by.
DISPLAY_STATUSES = (*(status.value for status in ImportStatus), DUE, OVERDUE, SCHEDULE_OFF, NO_WORKER)
ENDED = frozenset(status for status, following in IMPORT_TRANSITIONS.items() if not following)


def statuses_before(target: ImportStatus) -> frozenset[ImportStatus]:
    """The statuses that may become the target: what a guarded UPDATE puts into its WHERE."""
    return frozenset(status for status, following in IMPORT_TRANSITIONS.items() if target in following)


def check_transition(what: str, found: ImportStatus, wanted: ImportStatus) -> None:
    """Raise InvalidTransition unless the status found may become the one wanted."""
    if wanted not in IMPORT_TRANSITIONS[found]:
        raise InvalidTransition(what, wanted, found)


def is_overdue(status: ImportStatus, scheduled_at: datetime | None, now: datetime) -> bool:
    """Scheduled, its time in the past by more than a start takes, not started."""
    return status is ImportStatus.SCHEDULED and scheduled_at is not None and scheduled_at < now - DUE_FOR


def display_status(
    status: ImportStatus, scheduled_at: datetime | None, now: datetime, *, is_held_back: bool = False
) -> str:
    """The status as people see it: `due` and `overdue` apart from `scheduled`, none of them if it is held back."""
    if is_held_back and status is ImportStatus.SCHEDULED:
        return SCHEDULE_OFF
    if is_overdue(status, scheduled_at, now):
        return OVERDUE
    is_due = status is ImportStatus.SCHEDULED and scheduled_at is not None and scheduled_at < now
    return DUE if is_due else status.value


def with_reason(reason: str, status: str) -> str:
    """`failed: the token is refused`; a reason that begins with the status already stands for itself."""
    return reason if reason.lower().startswith(status) else f"{status}: {reason}"


def end_sentence(reason: str, status: str) -> str:
    """How and why an import ended: `Failed: the token is refused.`; `Cancelled by wish of Ada.`"""
    said = with_reason(reason, status)
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?")) else ".")
