"""The scheduling rules: decide from a source's imports and an instant which one starts, is resumed or ends. No I/O.

The sensor and the CLI apply the decisions in order, each by a guarded statement; of two processes, the second finds
nothing left to do. Each list of decisions ends with exactly one Start, Resume, Fail, End or Wait.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES, resume_limit_reason
from import_pipeline.rules.slots import Slots
from import_pipeline.rules.status import ImportStatus, Trigger

#: Time that a requested run may take to start before another one is requested.
RUN_START = timedelta(seconds=60)
#: Missed slots that get an import of their own, for the history: by default those of one day.
MAX_MISSED_SLOTS = 8


@dataclass(frozen=True, kw_only=True)
class ImportState:
    """The facts about an import that the rules need. Times are aware."""

    id: int
    status: ImportStatus
    trigger: Trigger
    slot_at: datetime | None  #: None for an import outside the slots
    scheduled_at: datetime
    run_requested_at: datetime | None = None
    has_started: bool = False
    resumes: int = 0  #: resumes in a row without progress
    worker_error: str | None = None  #: the error with which its worker broke off
    blocked_until: datetime | None = None  #: the end of a long pause that the API requested
    waits_for: str | None = None  #: why it waits, if it is resumed once that is back
    cancel_requested_at: datetime | None = None  #: also set if its Dagster run was terminated
    run_id: str | None = None  #: of the Dagster run that works on it
    run_is_gone: bool = False  #: that run has ended, or Dagster does not know it
    liveness: Liveness | None = None  #: of its worker, if it is running; None counts as alive
    others_live: bool = False  #: shards still work; one of them takes over the lead
    run_is_queued: bool = False  #: Dagster has the requested run, which has not begun
    run_ended: bool = False  #: the requested run ended before it began the import

    def is_due(self, now: datetime) -> bool:
        """Return True if only its start is missing.

        Only slots lie in the future: a request stays due if the clock is set back after it.
        """
        return self.status is ImportStatus.SCHEDULED and (self.was_requested() or self.scheduled_at <= now)

    def was_requested(self) -> bool:
        """Return True if a person requested it; a schedule that is off does not hold it back."""
        return self.slot_at is None or self.trigger is Trigger.RESCHEDULE

    def spends_slot(self) -> bool:
        """Return True if its slot gets no other import: it was moved, has started, or was cancelled by a person.

        An import that a rule cancelled (missed slot, changed setting) spends nothing: it can be reinstated.
        """
        if self.trigger is Trigger.RESCHEDULE or self.has_started or self.cancel_requested_at is not None:
            return True
        return self.status not in {ImportStatus.SCHEDULED, ImportStatus.CANCELLED}

    def is_starting(self, now: datetime) -> bool:
        """Return True if a run or process that will execute it was requested so recently that it may still start."""
        asked = self.run_requested_at
        if asked is None and self.trigger in {Trigger.CLI, Trigger.UI}:
            asked = self.scheduled_at  # created by the process that executes it
        return asked is not None and (self.run_is_queued or _is_recent(asked, now))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """An action, with its reason as a sentence for people."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Schedule(Decision):
    """Create the scheduled import of a slot."""

    slot_at: datetime


@dataclass(frozen=True, kw_only=True)
class Cancel(Decision):
    """Cancel a scheduled import."""

    import_id: int


@dataclass(frozen=True, kw_only=True)
class Start(Decision):
    """Request a run of a scheduled import."""

    import_id: int


@dataclass(frozen=True, kw_only=True)
class Resume(Decision):
    """Request a run that resumes a stalled import; its former Dagster run is reported as failed first."""

    import_id: int
    dead_run_id: str | None
    counts: bool  #: towards MAX_RESUMES
    run_ended: bool = False  #: the run requested before ended before it began the import


@dataclass(frozen=True, kw_only=True)
class Fail(Decision):
    """End a stalled import as failed; its Dagster run is reported as failed as well."""

    import_id: int
    dead_run_id: str | None


@dataclass(frozen=True, kw_only=True)
class End(Decision):
    """End a stalled import as cancelled, since no worker reads the request."""

    import_id: int
    dead_run_id: str | None


@dataclass(frozen=True, kw_only=True)
class Wait(Decision):
    """Do nothing: no import can start now."""


def decide(
    imports: Sequence[ImportState],
    slots: Slots,
    now: datetime,
    *,
    schedule_is_on: bool = True,
    off_until: datetime | None = None,
) -> list[Decision]:
    """Apply the rules to one source; return the decisions in order.

    `imports`: all scheduled and running imports, and the ended ones of future slots. `off_until`: the end of the time
    in which the schedule was off, at the first tick after it.
    """
    decisions: list[Decision] = []
    if schedule_is_on:
        dropped = [*_removed_slots(imports, slots, now), *_slots_while_off(imports, now, off_until)]
        ids = {each.import_id for each in dropped}
        imports = [one for one in imports if one.id not in ids]
        decisions += dropped
        decisions += _older_overdue(imports, now)
        decisions += _next_slot(imports, slots, now)
    return [*decisions, _start(imports, slots, now, schedule_is_on=schedule_is_on)]


def upcoming_slots(imports: Sequence[ImportState], slots: Slots, now: datetime) -> Iterator[datetime]:
    """Yield the future slots that are not spent, without end."""
    spent = {one.slot_at for one in imports if one.spends_slot()}
    return (slot_at for slot_at in slots.after(now) if slot_at not in spent)


def missed_slots(
    imports: Sequence[ImportState], slots: Slots, now: datetime, *, off_until: datetime | None = None
) -> list[Schedule]:
    """Return the slots that passed during a downtime, earliest first, at most MAX_MISSED_SLOTS of the latest.

    The caller creates their imports before it calls `decide`, which starts the latest and cancels the others with the
    reason. A due import of a slot is the sign of a downtime. Slots up to `off_until` are not missed, since the schedule
    was off.
    """
    if not _overdue(imports, now) and off_until is None:
        return []
    known = max(each for each in (off_until, *(one.slot_at for one in imports)) if each is not None)
    missed: list[datetime] = []
    slot_at = slots.latest_at(now)
    while slot_at > known and len(missed) < MAX_MISSED_SLOTS:
        missed.append(slot_at)
        slot_at = slots.latest_at(slot_at - timedelta(microseconds=1))
    return [Schedule(slot_at=each, reason=f"The slot of {_text(each)} was missed.") for each in reversed(missed)]


def _is_recent(asked: datetime, now: datetime) -> bool:
    """Return True if a run was requested less than RUN_START ago; a far later time was written by a wrong clock."""
    return abs(now - asked) < RUN_START


def _of_schedule(imports: Sequence[ImportState], now: datetime) -> Iterator[tuple[datetime, ImportState]]:
    """Yield the scheduled imports of slots that no person moved and whose run is not about to start."""
    for one in imports:
        is_waiting = one.status is ImportStatus.SCHEDULED and not one.was_requested() and not one.is_starting(now)
        if one.slot_at is not None and is_waiting:
            yield one.slot_at, one


def _removed_slots(imports: Sequence[ImportState], slots: Slots, now: datetime) -> Iterator[Cancel]:
    """Cancel imports whose slot the schedule no longer has, since its times or its zone changed."""
    for slot_at, one in _of_schedule(imports, now):
        if slots.latest_at(slot_at) != slot_at:
            yield Cancel(import_id=one.id, reason=f"The schedule no longer has a slot at {_text(slot_at)}.")


def _slots_while_off(imports: Sequence[ImportState], now: datetime, off_until: datetime | None) -> Iterator[Cancel]:
    """Cancel imports of slots that came while the schedule was off."""
    for slot_at, one in _of_schedule(imports, now):
        if off_until is not None and slot_at <= off_until:
            yield Cancel(import_id=one.id, reason=f"The schedule was off at {_text(slot_at)}.")


def _overdue(imports: Sequence[ImportState], now: datetime) -> list[tuple[datetime, ImportState]]:
    """Return the due imports of slots, earliest slot first."""
    due = [(one.slot_at, one) for one in imports if one.slot_at is not None and one.is_due(now)]
    return sorted(due, key=lambda pair: pair[0])


def _older_overdue(imports: Sequence[ImportState], now: datetime) -> Iterator[Cancel]:
    """Rule 3: cancel all overdue slots but the latest, except one that is about to start."""
    overdue = _overdue(imports, now)
    for slot_at, one in overdue[:-1]:
        if not one.is_starting(now):
            reason = f"The slot of {_text(slot_at)} was missed; the one of {_text(overdue[-1][0])} takes its place."
            yield Cancel(import_id=one.id, reason=reason)


def _next_slot(imports: Sequence[ImportState], slots: Slots, now: datetime) -> Iterator[Schedule]:
    """Rule 1: create the import of the next slot that is not spent."""
    slot_at = next(upcoming_slots(imports, slots, now))
    if not any(one.slot_at == slot_at and one.status is ImportStatus.SCHEDULED for one in imports):
        yield Schedule(slot_at=slot_at, reason=f"The next slot is {_text(slot_at)}.")


def _start(imports: Sequence[ImportState], slots: Slots, now: datetime, *, schedule_is_on: bool) -> Decision:
    """Rules 2, 4, 5 and 8: start the next import, or wait with a reason."""
    running = next((one for one in imports if one.status is ImportStatus.RUNNING), None)
    if running is not None:
        return decide_running(running, now)
    due = _due_in_order(imports, now, schedule_is_on=schedule_is_on)
    starting = next((one for one in due if one.is_starting(now)), None)
    if starting is not None:
        return Wait(reason=f"Import {starting.id} is about to start.")
    if due:
        first = due[0]
        what = "is next" if first.was_requested() else f"is due since {_text(first.scheduled_at)}"
        return Start(import_id=first.id, reason=f"Import {first.id} {what}.")
    if not schedule_is_on:
        return Wait(reason="The schedule is off, and no import was requested.")
    return Wait(reason=f"Nothing is due before {_text(next(upcoming_slots(imports, slots, now)))}.")


def _due_in_order(imports: Sequence[ImportState], now: datetime, *, schedule_is_on: bool) -> list[ImportState]:
    """Return the due imports: requests of people, oldest first, then overdue slots, latest first."""
    requested = [one for one in imports if one.slot_at is None and one.is_due(now)]
    overdue = [one for _, one in reversed(_overdue(imports, now)) if schedule_is_on or one.was_requested()]
    return [*sorted(requested, key=lambda one: (one.scheduled_at, one.id)), *overdue]


def decide_running(one: ImportState, now: datetime) -> Decision:
    """Rules 4, 6 and 7: a running import continues, is resumed, or ends."""
    if not one.run_is_gone and (one.liveness is None or not one.liveness.is_dead(now)):
        return Wait(reason=f"Import {one.id} is running.")
    if one.cancel_requested_at is not None:
        reason = f"Import {one.id} is cancelled as requested: its worker is dead."
        return End(import_id=one.id, dead_run_id=one.run_id, reason=reason)
    if one.blocked_until is not None and one.blocked_until > now:
        return Wait(reason=f"Import {one.id} is paused until {_text(one.blocked_until)}, as the API requested.")
    if one.others_live:
        return Wait(reason=f"Import {one.id} is running: one of its shards takes over the lead.")
    if one.waits_for is not None:
        return Wait(reason=f"Import {one.id} waits: {one.waits_for}.")
    if _was_run_requested(one, now):
        if one.run_is_queued:
            return Wait(reason=f"Import {one.id} is stalled: its next run waits for a free slot in Dagster's queue.")
        return Wait(reason=f"Import {one.id} is about to be resumed by another run.")
    # An orderly release (after a stop request, or for a long pause) is no sign of a hopeless import.
    counts = one.liveness is None or one.liveness.has_owner or one.worker_error is not None or one.run_ended
    if not counts:
        reason = f"Import {one.id} is resumed: its worker released it."
    elif one.resumes < MAX_RESUMES:
        what = "is dead" if one.worker_error is None else "broke off"
        if one.run_ended:
            what = "is dead, and the requested run ended before it began"
        count = f"resume {one.resumes + 1} of {MAX_RESUMES} without progress"
        reason = f"Import {one.id} is resumed: its worker {what} ({count})."
    else:
        reason = f"Import {one.id} was {resume_limit_reason(one.resumes, one.worker_error)}."
        return Fail(import_id=one.id, dead_run_id=one.run_id, reason=reason)
    return Resume(import_id=one.id, dead_run_id=one.run_id, counts=counts, reason=reason, run_ended=one.run_ended)


def _was_run_requested(one: ImportState, now: datetime) -> bool:
    """Return True if a run was requested after the worker's last heartbeat and may still begin."""
    asked = one.run_requested_at
    seen = one.liveness.heartbeat_at if one.liveness is not None else None
    if asked is None or (seen is not None and asked <= seen):
        return False
    return one.run_is_queued or _is_recent(asked, now)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
