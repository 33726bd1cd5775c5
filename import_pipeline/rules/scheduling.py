"""What is to be done about a source's imports now: the scheduling rules, from rows and an instant to decisions.

The sensor and the CLI apply the decisions in their order, each by a guarded statement: whoever comes second finds
nothing left to do. Every look ends with exactly one Start, Resume, Fail, End or Wait.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES, resume_limit_reason
from import_pipeline.rules.slots import Slots
from import_pipeline.rules.status import ImportStatus, Trigger

#: How long a run that was asked for may take to start before another one is asked for.
RUN_START = timedelta(seconds=60)
#: So many of the slots that a downtime has passed over are told of in the history: one day's, by default.
MAX_MISSED_SLOTS = 8


@dataclass(frozen=True, kw_only=True)
class ImportState:
    """What the rules need to know of an import. Times are aware."""

    id: int
    status: ImportStatus
    trigger: Trigger
    slot_at: datetime | None  #: None outside the slots
    scheduled_at: datetime
    run_requested_at: datetime | None = None
    has_started: bool = False
    resumes: int = 0  #: in a row, without progress between them
    worker_error: str | None = None  #: the error with which its worker left it
    blocked_until: datetime | None = None  #: the end of a long pause that the API asked for
    waits_for: str | None = None  #: why it stands still, where it goes on as soon as what is missing is back
    cancel_requested_at: datetime | None = None  #: also where its Dagster run was terminated, which means the same
    run_id: str | None = None  #: of the Dagster run that works on it
    run_is_gone: bool = False  #: that run has ended, or nobody knows it
    liveness: Liveness | None = None  #: of a running one's worker; None counts as alive
    others_live: bool = False  #: shards of it work on; one of them takes the lead over
    run_is_queued: bool = False  #: the run that was asked for is yet to begin, as far as Dagster knows
    run_ended: bool = False  #: the run that was asked for has ended and has not begun the import

    def is_due(self, now: datetime) -> bool:
        """Whether it waits for nothing but its start.

        Only a slot is a time to wait for: a request stays due if the clock is set back after it.
        """
        return self.status is ImportStatus.SCHEDULED and (self.was_requested() or self.scheduled_at <= now)

    def was_requested(self) -> bool:
        """Whether a person asked for it: a stopped schedule does not hold it back."""
        return self.slot_at is None or self.trigger is Trigger.RESCHEDULE

    def spends_slot(self) -> bool:
        """Whether its slot gets no other import: this one was moved or has started, or a person cancelled it.

        What a rule cancelled (a missed slot, a changed setting) spends nothing: it returns if its slot lies ahead.
        """
        if self.trigger is Trigger.RESCHEDULE or self.has_started or self.cancel_requested_at is not None:
            return True
        return self.status not in {ImportStatus.SCHEDULED, ImportStatus.CANCELLED}

    def is_starting(self, now: datetime) -> bool:
        """Whether somebody asked for its run, or was about to carry it out, so recently that it may yet start."""
        asked = self.run_requested_at
        if asked is None and self.trigger in {Trigger.CLI, Trigger.UI}:
            asked = self.scheduled_at  # made by the process that is going to carry it out
        return asked is not None and (self.run_is_queued or _is_recent(asked, now))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Something to do, with its reason in a sentence for people."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Schedule(Decision):
    """Make the scheduled import of a slot."""

    slot_at: datetime


@dataclass(frozen=True, kw_only=True)
class Cancel(Decision):
    """Cancel a scheduled import."""

    import_id: int


@dataclass(frozen=True, kw_only=True)
class Start(Decision):
    """Ask for a run of a scheduled import."""

    import_id: int


@dataclass(frozen=True, kw_only=True)
class Resume(Decision):
    """Ask for a run that goes on with a running import; the Dagster run before it is reported as failed first."""

    import_id: int
    dead_run_id: str | None
    counts: bool  #: towards MAX_RESUMES
    run_ended: bool = False  #: the run before was asked for in vain


@dataclass(frozen=True, kw_only=True)
class Fail(Decision):
    """End a running import that has no worker as failed; its Dagster run is reported as failed, too."""

    import_id: int
    dead_run_id: str | None


@dataclass(frozen=True, kw_only=True)
class End(Decision):
    """End a running import that has no worker as cancelled: nobody else reads the wish."""

    import_id: int
    dead_run_id: str | None


@dataclass(frozen=True, kw_only=True)
class Wait(Decision):
    """Nothing can start now."""


def decide(
    imports: Sequence[ImportState],
    slots: Slots,
    now: datetime,
    *,
    schedule_is_on: bool = True,
    off_until: datetime | None = None,
) -> list[Decision]:
    """The rules applied to one source.

    Expects all its imports that are scheduled or running, and of the ended ones those of slots that are yet to come.
    `off_until`: at the first look after the schedule was off, the end of that time.
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
    """The slots after now, without end, except those that are spent."""
    spent = {one.slot_at for one in imports if one.spends_slot()}
    return (slot_at for slot_at in slots.after(now) if slot_at not in spent)


def missed_slots(
    imports: Sequence[ImportState], slots: Slots, now: datetime, *, off_until: datetime | None = None
) -> list[Schedule]:
    """The slots that have passed unseen since the last one that has its import, the earliest first; the latest few.

    To be filled before `decide` is asked: then the latest of them starts, and the others are cancelled with the
    reason. A downtime is told by what it has left: a slot's import that is due, and none for a slot to come. Slots up
    to `off_until` are not missed: the schedule was off.
    """
    if not _overdue(imports, now) and off_until is None:
        return []
    known = max(each for each in (off_until, *(one.slot_at for one in imports)) if each is not None)
    missed: list[datetime] = []
    slot_at = slots.latest_at(now)
    while slot_at > known and len(missed) < MAX_MISSED_SLOTS:
        missed.append(slot_at)
        slot_at = slots.latest_at(slot_at - timedelta(microseconds=1))
    return [Schedule(slot_at=each, reason=f"The slot of {_text(each)} passed unseen.") for each in reversed(missed)]


def _is_recent(asked: datetime, now: datetime) -> bool:
    """Whether a run was asked for a moment ago; a moment far ahead was written by a clock that was ahead."""
    return abs(now - asked) < RUN_START


def _of_schedule(imports: Sequence[ImportState], now: datetime) -> Iterator[tuple[datetime, ImportState]]:
    """The scheduled imports of slots that no person moved and whose run is not about to start."""
    for one in imports:
        is_waiting = one.status is ImportStatus.SCHEDULED and not one.was_requested() and not one.is_starting(now)
        if one.slot_at is not None and is_waiting:
            yield one.slot_at, one


def _removed_slots(imports: Sequence[ImportState], slots: Slots, now: datetime) -> Iterator[Cancel]:
    """The slots or their zone were changed since the import was scheduled: what is no slot does not start."""
    for slot_at, one in _of_schedule(imports, now):
        if slots.latest_at(slot_at) != slot_at:
            yield Cancel(import_id=one.id, reason=f"The schedule no longer has a slot at {_text(slot_at)}.")


def _slots_while_off(imports: Sequence[ImportState], now: datetime, off_until: datetime | None) -> Iterator[Cancel]:
    """Slots that came while the schedule was off are not made up when it is switched on."""
    for slot_at, one in _of_schedule(imports, now):
        if off_until is not None and slot_at <= off_until:
            yield Cancel(import_id=one.id, reason=f"The schedule was off at {_text(slot_at)}.")


def _overdue(imports: Sequence[ImportState], now: datetime) -> list[tuple[datetime, ImportState]]:
    """The due imports of slots, the earliest slot first."""
    due = [(one.slot_at, one) for one in imports if one.slot_at is not None and one.is_due(now)]
    return sorted(due, key=lambda pair: pair[0])


def _older_overdue(imports: Sequence[ImportState], now: datetime) -> Iterator[Cancel]:
    """Rule 3: of several overdue slots only the latest is worth an import, unless an older one is about to start."""
    overdue = _overdue(imports, now)
    for slot_at, one in overdue[:-1]:
        if not one.is_starting(now):
            reason = f"The slot of {_text(slot_at)} was missed; the one of {_text(overdue[-1][0])} takes its place."
            yield Cancel(import_id=one.id, reason=reason)


def _next_slot(imports: Sequence[ImportState], slots: Slots, now: datetime) -> Iterator[Schedule]:
    """Rule 1: the next slot that is not spent has its import."""
    slot_at = next(upcoming_slots(imports, slots, now))
    if not any(one.slot_at == slot_at and one.status is ImportStatus.SCHEDULED for one in imports):
        yield Schedule(slot_at=slot_at, reason=f"The next slot is {_text(slot_at)}.")


def _start(imports: Sequence[ImportState], slots: Slots, now: datetime, *, schedule_is_on: bool) -> Decision:
    """Rules 2, 4, 5 and 8: what starts, or what it waits for."""
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
    """What is due: people's wishes from the oldest on, then the latest overdue slot; what is about to start stays."""
    wishes = [one for one in imports if one.slot_at is None and one.is_due(now)]
    overdue = [one for _, one in reversed(_overdue(imports, now)) if schedule_is_on or one.was_requested()]
    return [*sorted(wishes, key=lambda one: (one.scheduled_at, one.id)), *overdue]


def decide_running(one: ImportState, now: datetime) -> Decision:
    """Rules 4, 6 and 7: a running import goes on, is resumed, or ends."""
    if not one.run_is_gone and (one.liveness is None or not one.liveness.is_dead(now)):
        return Wait(reason=f"Import {one.id} is running.")
    if one.cancel_requested_at is not None:
        reason = f"Import {one.id} was to be cancelled, and its worker is gone."
        return End(import_id=one.id, dead_run_id=one.run_id, reason=reason)
    if one.blocked_until is not None and one.blocked_until > now:
        return Wait(reason=f"Import {one.id} pauses until {_text(one.blocked_until)}, as the API asked.")
    if one.others_live:
        return Wait(reason=f"Import {one.id} is running: one of its shards takes the lead over.")
    if one.waits_for is not None:
        return Wait(reason=f"Import {one.id} stands still: {one.waits_for}.")
    if _was_run_requested(one, now):
        if one.run_is_queued:
            return Wait(reason=f"Import {one.id} is stalled: its next run waits in Dagster's queue for a free slot.")
        return Wait(reason=f"Import {one.id} is about to go on in another run.")
    # A worker that left in order (told to end, or for a long pause) is no sign of a hopeless import.
    counts = one.liveness is None or one.liveness.has_owner or one.worker_error is not None or one.run_ended
    if not counts:
        reason = f"Import {one.id} goes on: its worker has left it to another one."
    elif one.resumes < MAX_RESUMES:
        what = "is gone" if one.worker_error is None else "broke off"
        if one.run_ended:
            what = "is gone, and the run that was asked for ended before it began"
        count = f"resume {one.resumes + 1} of {MAX_RESUMES} without progress"
        reason = f"Import {one.id} goes on: its worker {what} ({count})."
    else:
        reason = f"Import {one.id} was {resume_limit_reason(one.resumes, one.worker_error)}."
        return Fail(import_id=one.id, dead_run_id=one.run_id, reason=reason)
    return Resume(import_id=one.id, dead_run_id=one.run_id, counts=counts, reason=reason, run_ended=one.run_ended)


def _was_run_requested(one: ImportState, now: datetime) -> bool:
    """Whether a run was asked for after the worker's last sign of life; the request it began with does not count."""
    asked = one.run_requested_at
    seen = one.liveness.heartbeat_at if one.liveness is not None else None
    if asked is None or (seen is not None and asked <= seen):
        return False
    return one.run_is_queued or _is_recent(asked, now)


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
