"""Find which worker finishes an import: wait for the others, or let them finish it."""

from collections.abc import Callable, Collection

from import_pipeline.importer.installation import Installation
from import_pipeline.importer.lifecycle.workers import living
from import_pipeline.importer.runtime.context import Work
from import_pipeline.rules.sharding import LEAD, Turn, turn_of
from import_pipeline.tracking.imports import ImportRow
from import_pipeline.tracking.leases import Lease

#: Seconds between two looks at those who still work.
LOOK_SECONDS = 0.1


#: How long a cancelled import waits for its workers; each reads the wish within a second.
FAREWELL_SECONDS = 1.6


async def outlast(work: Work, seats: Callable[[], Collection[int]] | None = None) -> Turn:
    """With nothing left to do: wait for the others where this worker has the last word; never WAIT.

    `seats` gives the numbers that this worker has now; without it there is the one of its lease.
    """
    while not work.stop.asked.is_set():
        others = await work.write(living, work.row.id, work.lease.seconds, work.clock.now(), work.clock.monotonic())
        turn = turn_of([work.lease.shard or LEAD] if seats is None else seats(), others)
        if turn is not Turn.WAIT:
            return turn
        await work.clock.sleep(LOOK_SECONDS)
    return Turn.LEAVE


async def last_word(
    installation: Installation, row: ImportRow, lease: Lease, seats: Collection[int] | None = None
) -> Turn:
    """After a wish to cancel: give the others the moment that they need to leave; END also where they do not."""
    clock = installation.clock
    until = clock.monotonic() + FAREWELL_SECONDS
    while clock.monotonic() < until:
        with installation.database.read() as connection:
            others = living(connection, row.id, lease.seconds, clock.now(), clock.monotonic())
        turn = turn_of(seats or [lease.shard or LEAD], others)
        if turn is not Turn.WAIT:
            return turn
        await clock.sleep(LOOK_SECONDS)
    return Turn.END
