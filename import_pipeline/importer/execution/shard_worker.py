"""Working as a shard: one more process that enriches an import which another one carries out.

A shard does not read the list and does not judge the import: trouble of its own ends no work but its own. Once the lead
is gone it takes that over: then it reads the list, and it ends the import.
"""

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from import_pipeline.errors import LeaseLost, UsageError
from import_pipeline.importer.enrichment.enrich import enrich
from import_pipeline.importer.execution.last_worker import wait_before_cancelling, wait_for_other_workers
from import_pipeline.importer.execution.leadership import Leadership
from import_pipeline.importer.execution.limiter_outage import cause_of
from import_pipeline.importer.execution.run import finish_import, release
from import_pipeline.importer.execution.session import ImportRun, run_session
from import_pipeline.importer.lifecycle.finish import complete, end
from import_pipeline.importer.lifecycle.notifications import send_notices
from import_pipeline.importer.lifecycle.workers import shard_liveness
from import_pipeline.importer.runtime.context import ImportContext, is_listed
from import_pipeline.importer.runtime.database_wait import patience_of
from import_pipeline.rules.endings import (
    BrokeOff,
    Cancelled,
    Completed,
    DatabaseAway,
    Ending,
    Failed,
    Interrupted,
    OwnershipLost,
    Paused,
    StoreAway,
    ending_of,
)
from import_pipeline.rules.sharding import LEAD, FinishRole
from import_pipeline.rules.status import ENDED, ImportStatus
from import_pipeline.tracking import events, imports, shards
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease
from import_pipeline.tracking.shards import ShardRow


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What a shard has done: its own row, the import's, and whether it was the one that ended the import."""

    shard: ShardRow
    row: ImportRow
    ended_it: bool
    was_cancelled: bool  #: it left because somebody wished the import cancelled
    dead_run_id: str | None  #: of the worker that had its place before and was gone


def execute_shard(run: ImportRun, import_id: int, number: int) -> ShardResult:
    """Enrich the import as its shard of that number (from 2 on) until nothing is left.

    Raises LeaseLost where the place is somebody else's or the import does not run; what stops this process or keeps it
    from working (ImportInterrupted, SettingError, …): the place is free again then.
    """
    row, seat, dead_run_id = _take_place(run, import_id, number)
    place = ShardSession(run, row, seat)
    ended_it = place.execute()
    if ended_it:
        send_notices(run.installation, run.source)
    with run.installation.database.read() as connection:
        [shard] = [each for each in shards.of_import(connection, import_id) if each.number == number]
        return ShardResult(
            shard=shard,
            row=imports.get(connection, import_id),
            ended_it=ended_it,
            was_cancelled=place.was_cancelled,
            dead_run_id=dead_run_id,
        )


def _take_place(run: ImportRun, import_id: int, number: int) -> tuple[ImportRow, ShardRow, str | None]:
    """The import, the shard, and the Dagster run of a worker that was gone from its place."""
    if number <= LEAD:
        raise UsageError(f"shard {number}: expected a number from {LEAD + 1} on")
    now, monotonic = run.installation.clock.now(), run.installation.clock.monotonic()

    def unit(connection: Connection) -> tuple[ImportRow, ShardRow, str | None]:
        row = imports.get(connection, import_id)
        if row.status is not ImportStatus.RUNNING:
            raise LeaseLost(f"import {import_id} is {row.status}: a shard joins a running one")
        if row.cancel_requested_at is not None:
            raise LeaseLost(f"import {import_id} is to be cancelled")
        before = {each.number: each for each in shards.of_import(connection, import_id)}.get(number)
        alive = shard_liveness(before, run.source.lease, monotonic) if before is not None else None
        dead = before if alive is not None and alive.is_dead(now) else None
        if dead is not None:
            shards.bury(connection, dead)
        # Several shards may work in one process; each holds its own items.
        worker = replace(run.worker, id=f"{run.worker.id}-{number}")
        seat = shards.begin(connection, import_id, number, worker, now, run.run_id)
        if seat is None:
            raise LeaseLost(f"shard {number} of import {import_id} is at work elsewhere, or has nothing more to do")
        sentence = f"Shard {number} begun by process {run.worker.pid} on {run.worker.host}."
        events.note(connection, import_id, now, "shard_started", sentence)
        return row, seat, dead.dagster_run_id if dead else None

    return run.installation.database.transact(unit, patience_of(run.source))


class ShardSession:
    """A shard's place, while this process works as it."""

    def __init__(self, run: ImportRun, row: ImportRow, seat: ShardRow) -> None:
        self.run = run
        self.row = row
        self.was_cancelled = False
        self.ended_it = False
        self.lease = Lease(
            import_id=row.id, fence=seat.fence, worker=seat.worker or "", seconds=run.source.lease, shard=seat.number
        )
        self.leadership = Leadership(run, self.lease)

    def execute(self) -> bool:
        """Share the items, give the shard back, and return whether the import was ended here."""
        ending = self._finish_lead(self._run_to_the_end())
        match ending:
            case Completed():
                self._leave(is_done=True)
            case Cancelled(reason):
                self.was_cancelled = True
                self.ended_it = self.ended_it or self._cancel(reason)
                self._leave(is_done=True)
            case OwnershipLost():  # the import has ended, or another worker has the shard: nothing to give back
                self.ended_it = self.leadership.gave_up
                self._leave(is_done=True)
            case Paused():
                self._leave(is_done=False)
            case Failed() if self.ended_it:
                self._leave(is_done=False, trouble=ending.reason)
            case DatabaseAway(error):  # nothing can be recorded
                raise error
            case Interrupted(error):
                self._leave(is_done=self.run.is_cancelled())
                raise error
            case Failed(error) | StoreAway(error) | BrokeOff(error):
                self._leave(is_done=False, trouble=self._trouble_of(ending))
                raise error
        return self.ended_it

    def _run_to_the_end(self) -> Ending:
        """Share the items, and complete the import if this is its last worker; return how that ended."""
        # A terminated run of a shard ends that shard, not the import.
        run = replace(self.run, is_cancelled=lambda: False)
        phase = partial(_share, leadership=self.leadership)
        try:
            role = asyncio.run(run_session(run, self.row, self.lease, phase, self.leadership.beat))
            self.ended_it = role is FinishRole.END and self._complete()
        except BaseException as error:  # noqa: BLE001 - `execute` raises it again
            return ending_of(error)
        return Completed()

    def _finish_lead(self, ending: Ending) -> Ending:
        """If this shard leads, end or release the import as well; return the ending, or that of an error on the way."""
        lease = self.leadership.lease
        if lease is None:
            return ending
        try:
            if isinstance(ending, Completed):
                release(self.run, lease, None)  # finds nothing after an end
            else:
                finish_import(self.run, self.row, lease, ending, self.leadership.seats)
                self.ended_it = self._has_ended()
        except LeaseLost:
            return ending
        except BaseException as error:  # noqa: BLE001 - `execute` raises it again
            return ending_of(error)
        return ending

    def _trouble_of(self, ending: Failed | StoreAway | BrokeOff) -> str | None:
        """The trouble to record with the import; None if the import itself waits for the same."""
        match ending:
            case Failed():
                return ending.reason
            case StoreAway(error):
                return None if self._lead_waits() else f"the store of the limits does not answer it. {cause_of(error)}"
            case BrokeOff():
                return "it broke off"

    def _has_ended(self) -> bool:
        with self.run.installation.database.read() as connection:
            return imports.get(connection, self.row.id).status in ENDED

    def _lead_waits(self) -> bool:
        """Whether the store of the limits is away for the import's own run, too."""
        with self.run.installation.database.read() as connection:
            return events.waits_for_store(connection, self.row.id) is not None

    def _complete(self) -> bool:
        try:
            installation, patience = self.run.installation, patience_of(self.run.source)
            lease, model = self.leadership.lease or self.leadership.take_now(), self.run.source.model
            complete(installation.database, self.row, lease, installation.clock.now(), patience, model)
        except LeaseLost:
            return False
        return True

    def _cancel(self, reason: str) -> bool:
        installation = self.run.installation
        if asyncio.run(wait_before_cancelling(installation, self.row, self.lease)) is not FinishRole.END:
            return False
        try:
            now, patience = installation.clock.now(), patience_of(self.run.source)
            end(installation.database, self.lease, now, ImportStatus.CANCELLED, reason, patience)
        except LeaseLost:
            return False
        return True

    def _leave(self, *, is_done: bool, trouble: str | None = None) -> None:
        """Give the place back, and tell of trouble."""
        now = self.run.installation.clock.now()

        def unit(connection: Connection) -> None:
            left = shards.leave(connection, self.lease, now, for_good=is_done, in_order=trouble is None)
            if left and trouble is not None:
                sentence = f"Shard {self.lease.shard} stopped: {trouble}. The others go on."
                events.note(connection, self.row.id, now, "shard_stopped", sentence)

        self.run.installation.database.transact(unit, patience_of(self.run.source))


async def _share(context: ImportContext, leadership: Leadership) -> FinishRole:
    """A shard's one phase; beside it, it does what the lead does once it has taken the lead."""
    context.discovered = is_listed(context.row)
    async with asyncio.TaskGroup() as group:
        group.create_task(leadership.serve(context))
        try:
            await enrich(context)
            return await wait_for_other_workers(context, lambda: leadership.seats)
        finally:
            leadership.close()
