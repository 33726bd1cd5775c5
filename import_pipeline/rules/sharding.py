"""Decide from the shards of an import which to launch and which to reclaim. No I/O.

Workers are numbered: 1 is the run that executes the import, 2 and up are its shards.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.scheduling import RUN_START

#: The number of the worker that executes the import itself.
LEAD = 1


@dataclass(frozen=True, kw_only=True)
class ShardState:
    """The facts about a shard that the rules need. Times are aware."""

    number: int
    launches: int = 0  #: runs requested since one left in order
    run_requested_at: datetime | None = None
    run_is_queued: bool = False  #: Dagster knows the requested run, and it has not ended
    has_ended: bool = False  #: no work is left for it
    run_id: str | None = None  #: of the Dagster run that works, or worked last, as this shard
    liveness: Liveness | None = None  #: of its worker; None: it has no worker


@dataclass(frozen=True, kw_only=True)
class ShardedImport:
    """A running import that several workers share."""

    wanted: int  #: workers in all, the lead included
    is_listed: bool  #: a page of its list is stored: there is something to share
    items_left: int | None  #: None: the list does not say
    enough_for_one: int  #: items that one worker processes at the same time
    is_cancelled: bool = False  #: its cancellation was requested
    blocked_until: datetime | None = None  #: the end of a pause that the API requested
    waits_for_store: bool = False  #: the rate-limit store did not answer its worker


@dataclass(frozen=True, kw_only=True)
class Reclaim:
    """Reclaim the shard of a dead worker; its Dagster run is reported as failed."""

    number: int
    dead_run_id: str | None


@dataclass(frozen=True, kw_only=True)
class LaunchShard:
    """Request a run of the shard."""

    number: int


def decide_shards(one: ShardedImport, shards: Sequence[ShardState], now: datetime) -> list[Reclaim | LaunchShard]:
    """Return the shards to reclaim from dead workers, then those to launch, for the first time or again."""
    known = {shard.number: shard for shard in shards}
    reclaimed = list(_dead(shards, now))
    if not _is_worth_more(one, now):
        return [*reclaimed]
    numbers = range(LEAD + 1, one.wanted + 1)
    launched = [LaunchShard(number=number) for number in numbers if _may_launch(known.get(number), now)]
    return [*reclaimed, *launched]


def _dead(shards: Sequence[ShardState], now: datetime) -> Iterator[Reclaim]:
    for shard in shards:
        if shard.liveness is not None and shard.liveness.is_dead(now):
            yield Reclaim(number=shard.number, dead_run_id=shard.run_id)


def _is_worth_more(one: ShardedImport, now: datetime) -> bool:
    """Return True if another worker may work and would find work."""
    if one.is_cancelled or one.waits_for_store or not one.is_listed:
        return False
    if one.blocked_until is not None and one.blocked_until > now:
        return False
    return one.items_left is None or one.items_left > one.enough_for_one


def _may_launch(shard: ShardState | None, now: datetime) -> bool:
    """Return True if the shard has no worker, none is about to begin, and its launches are not used up."""
    if shard is None:
        return True
    if shard.has_ended or shard.run_is_queued or shard.launches > MAX_RESUMES:
        return False
    if shard.liveness is not None:
        return shard.liveness.is_dead(now)
    return not _may_yet_begin(shard, now)


def _may_yet_begin(shard: ShardState, now: datetime) -> bool:
    """Return True if a run was requested less than RUN_START ago."""
    asked = shard.run_requested_at
    return shard.launches > 0 and asked is not None and abs(now - asked) < RUN_START


def may_take_lead(
    lead: Liveness, now: datetime, *, is_cancelled: bool = False, blocked_until: datetime | None = None
) -> bool:
    """Return True if a living shard may take over a dead lead; not of an import that is paused or cancelled."""
    pauses = blocked_until is not None and blocked_until > now
    return not is_cancelled and not pauses and lead.is_dead(now)


class FinishRole(Enum):
    """The role of a worker that finds no work left."""

    LEAVE = auto()  #: leave; another worker ends the import
    WAIT = auto()  #: wait until the others have left
    END = auto()  #: end the import, as the last worker


def finish_role(me: Collection[int], others: Mapping[int, bool]) -> FinishRole:
    """Return the role of this worker: of the living ones, the lowest number waits for the others and ends the import.

    `me`: the numbers of this worker; a shard may also have the lead's. `others`: number -> it lives and has not left.
    """
    living = [number for number, lives in others.items() if lives and number not in me]
    if any(number < min(me) for number in living):
        return FinishRole.LEAVE
    return FinishRole.WAIT if living else FinishRole.END
