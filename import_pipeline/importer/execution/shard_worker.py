"""Execute a shard: a further process that fetches items of an import which another process leads.

A shard does not read the list, and its own trouble ends only its own work. If the lead's worker dies, a shard takes the
lead: it then reads the list and ends the import.
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
from import_pipeline.importer.execution.phases import note_unmet_paths
from import_pipeline.importer.execution.run import finish_import, release
from import_pipeline.importer.execution.session import ImportRun, run_session
from import_pipeline.importer.lifecycle.finish import complete, end
from import_pipeline.importer.lifecycle.notifications import send_notices
from import_pipeline.importer.lifecycle.workers import shard_liveness
from import_pipeline.importer.runtime.context import ImportContext
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
from import_pipeline.tracking.leases import ShardLease
from import_pipeline.tracking.shards import ShardRow


@dataclass(frozen=True, kw_only=True)
class ShardResult:
    """The result of a shard."""

    shard: ShardRow
    row: ImportRow  #: of the import
    ended_it: bool  #: this shard has ended the import
    was_cancelled: bool  #: it left because the import was cancelled
    dead_run_id: str | None  #: of the dead worker that had this shard before


def execute_shard(run: ImportRun, import_id: int, number: int) -> ShardResult:
    """Fetch items of the import as its shard of that number (from 2 on) until none is left.

    Raises LeaseLost if another worker has the shard or the import is not running. Raises an error that stops this
    process (ImportInterrupted, SettingError, …) after it has released the shard.
    """
    row, shard, dead_run_id = _take_shard(run, import_id, number)
    session = ShardSession(run, row, shard)
    session.execute()
    if session.ended_it:
        send_notices(run.installation, run.source)
    with run.installation.database.read() as connection:
        [shard] = [each for each in shards.of_import(connection, import_id) if each.number == number]
        return ShardResult(
            shard=shard,
            row=imports.get(connection, import_id),
            ended_it=session.ended_it,
            was_cancelled=session.was_cancelled,
            dead_run_id=dead_run_id,
        )


def _take_shard(run: ImportRun, import_id: int, number: int) -> tuple[ImportRow, ShardRow, str | None]:
    """Return the import, the shard, and the Dagster run of its dead worker."""
    if number <= LEAD:
        raise UsageError(f"shard {number}: expected a number from {LEAD + 1} on")
    now, monotonic = run.installation.clock.now(), run.installation.clock.monotonic()

    def unit(connection: Connection) -> tuple[ImportRow, ShardRow, str | None]:
        row = imports.get(connection, import_id)
        if row.status is not ImportStatus.RUNNING:
            raise LeaseLost(f"import {import_id} is {row.status}: a shard can only join a running import")
        if row.cancel_requested_at is not None:
            raise LeaseLost(f"import {import_id} is to be cancelled")
        before = {each.number: each for each in shards.of_import(connection, import_id)}.get(number)
        alive = shard_liveness(before, run.source.lease, monotonic) if before is not None else None
        dead = before if alive is not None and alive.is_dead(now) else None
        if dead is not None:
            shards.reclaim(connection, dead)
        # Several shards may work in one process; each holds its own items.
        worker = replace(run.worker, id=f"{run.worker.id}-{number}")
        taken = shards.acquire(connection, import_id, number, worker, now, run.run_id)
        if taken is None:
            raise LeaseLost(f"shard {number} of import {import_id} has another worker, or nothing left to do")
        sentence = f"Shard {number} started by process {run.worker.pid} on {run.worker.host}."
        events.note(connection, import_id, now, "shard_started", sentence)
        return row, taken, dead.dagster_run_id if dead else None

    return run.installation.database.transact(unit, patience_of(run.source))


class ShardSession:
    """The work of this process as a shard."""

    def __init__(self, run: ImportRun, row: ImportRow, shard: ShardRow) -> None:
        self.run = run
        self.row = row
        self.was_cancelled = False
        self.ended_it = False  #: this shard has ended the import
        self.lease = ShardLease(
            import_id=row.id, fence=shard.fence, worker=shard.worker or "", seconds=run.source.lease, shard=shard.number
        )
        self.leadership = Leadership(run, self.lease)

    def execute(self) -> None:
        """Fetch items, then release the shard. Raises the error that stops this process."""
        ending = self._finish_lead(self._run_to_the_end())
        match ending:
            case Completed():
                self._leave(is_done=True)
            case Cancelled(reason):
                self.was_cancelled = True
                self.ended_it = self.ended_it or self._cancel(reason)
                self._leave(is_done=True)
            case OwnershipLost():  # ended or taken over: nothing to release
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

    def _run_to_the_end(self) -> Ending:
        """Fetch items, and complete the import if this is its last worker; return the ending."""
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
        """If this shard leads, end or release the import too. Return the ending, or that of a later error."""
        lease = self.leadership.lease
        if lease is None:
            return ending
        try:
            if isinstance(ending, Completed):
                release(self.run, lease, None)  # finds nothing after an end
            else:
                finish_import(self.run, self.row, lease, ending, self.leadership.numbers)
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
                return None if self._lead_waits() else f"the rate-limit store does not answer it. {cause_of(error)}"
            case BrokeOff():
                return "it broke off"

    def _has_ended(self) -> bool:
        with self.run.installation.database.read() as connection:
            return imports.get(connection, self.row.id).status in ENDED

    def _lead_waits(self) -> bool:
        """Return True if the import itself waits for the rate-limit store."""
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
        """Release the shard, and record trouble."""
        now = self.run.installation.clock.now()

        def unit(connection: Connection) -> None:
            left = shards.release(connection, self.lease, now, is_done=is_done, in_order=trouble is None)
            if left and trouble is not None:
                sentence = f"Shard {self.lease.shard} stopped: {trouble}. The other workers continue."
                events.note(connection, self.row.id, now, "shard_stopped", sentence)

        self.run.installation.database.transact(unit, patience_of(self.run.source))


async def _share(context: ImportContext, leadership: Leadership) -> FinishRole:
    """Fetch items; beside that, execute the lead if this shard has taken it."""
    context.discovered = context.row.read_state.complete
    async with asyncio.TaskGroup() as group:
        group.create_task(leadership.serve(context))
        try:
            await enrich(context)
            role = await wait_for_other_workers(context, lambda: leadership.numbers)
            if role is FinishRole.END:
                await note_unmet_paths(context)
            return role
        finally:
            leadership.close()
