"""Find which worker finishes an import: wait for the others, or let them finish it."""

from collections.abc import Callable, Collection

from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.workers import worker_states
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.rules.sharding import LEAD, FinishRole, finish_role
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease

#: Seconds between two looks at those who still work.
POLL_SECONDS = 0.1


#: How long a cancelled import waits for its workers; each reads the wish within a second.
CANCEL_WAIT_SECONDS = 1.6


async def wait_for_other_workers(
    context: ImportContext, seats: Callable[[], Collection[int]] | None = None
) -> FinishRole:
    """With nothing left to do: wait for the others where this worker has the last word; never WAIT.

    `seats` gives the numbers that this worker has now; without it there is the one of its lease.
    """
    while not context.stop.requested.is_set():
        others = await context.write(
            worker_states, context.row.id, context.lease.seconds, context.clock.now(), context.clock.monotonic()
        )
        turn = finish_role([context.lease.shard or LEAD] if seats is None else seats(), others)
        if turn is not FinishRole.WAIT:
            return turn
        await context.clock.sleep(POLL_SECONDS)
    return FinishRole.LEAVE


async def wait_before_cancelling(
    installation: Installation, row: ImportRow, lease: Lease, seats: Collection[int] | None = None
) -> FinishRole:
    """After a wish to cancel: give the others the moment that they need to leave; END also where they do not."""
    clock = installation.clock
    until = clock.monotonic() + CANCEL_WAIT_SECONDS
    while clock.monotonic() < until:
        with installation.database.read() as connection:
            others = worker_states(connection, row.id, lease.seconds, clock.now(), clock.monotonic())
        turn = finish_role(seats or [lease.shard or LEAD], others)
        if turn is not FinishRole.WAIT:
            return turn
        await clock.sleep(POLL_SECONDS)
    return FinishRole.END
