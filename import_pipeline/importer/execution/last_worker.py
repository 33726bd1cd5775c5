"""Find the worker that finishes an import: the last one, after the others have left."""

from collections.abc import Callable, Collection

from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.workers import worker_states
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.rules.sharding import FinishRole, finish_role
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease

#: Seconds between two checks of the other workers.
POLL_SECONDS = 0.1

#: Seconds that a cancelled import waits for its workers; each reads the cancel request within a second.
CANCEL_WAIT_SECONDS = 1.6


async def wait_for_other_workers(
    context: ImportContext, numbers: Callable[[], Collection[int]] | None = None
) -> FinishRole:
    """Wait for the other workers once this one has no work left. Return this worker's role, never WAIT.

    `numbers` returns the worker numbers that this process holds; without it, the number of its lease.
    """
    while not context.stop.requested.is_set():
        others = await context.write(
            worker_states, context.row.id, context.lease.seconds, context.clock.now(), context.clock.monotonic()
        )
        role = finish_role([context.lease.number] if numbers is None else numbers(), others)
        if role is not FinishRole.WAIT:
            return role
        await context.clock.sleep(POLL_SECONDS)
    return FinishRole.LEAVE


async def wait_before_cancelling(
    installation: Installation, row: ImportRow, lease: Lease, numbers: Collection[int] | None = None
) -> FinishRole:
    """Give the other workers a moment to leave a cancelled import. Return END also if they have not left by then."""
    clock = installation.clock
    until = clock.monotonic() + CANCEL_WAIT_SECONDS
    while clock.monotonic() < until:
        with installation.database.read() as connection:
            others = worker_states(connection, row.id, lease.seconds, clock.now(), clock.monotonic())
        role = finish_role(numbers or [lease.number], others)
        if role is not FinishRole.WAIT:
            return role
        await clock.sleep(POLL_SECONDS)
    return FinishRole.END
