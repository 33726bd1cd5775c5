"""What is to be done about an import's shards: pure functions, from rows and an instant to decisions.

Workers are numbered: 1 is the run that carries out the import, 2 and up are its shards.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from import_pipeline.rules.liveness import Liveness
from import_pipeline.rules.resumes import MAX_RESUMES
from import_pipeline.rules.scheduling import RUN_START

#: The number of the worker that carries out the import itself.
LEAD = 1


@dataclass(frozen=True, kw_only=True)
class ShardState:
    """What the rules need to know of a shard. Times are aware."""

    number: int
    launches: int = 0  #: runs asked for since one left in order
    run_requested_at: datetime | None = None
    run_is_queued: bool = False  #: a run that was asked for is known to Dagster and has not ended
    has_ended: bool = False  #: it has nothing more to do
    run_id: str | None = None  #: of the Dagster run that works, or worked last, as this shard
    liveness: Liveness | None = None  #: of its worker; None: nobody works as it


@dataclass(frozen=True, kw_only=True)
class ShardedImport:
    """A running import that several runs are to enrich."""

    wanted: int  #: workers in all
    is_listed: bool  #: a page of its list is stored: there is something to share
    items_left: int | None  #: None: the list does not tell
    enough_for_one: int  #: items that one worker has in its hands at once
    is_cancelled: bool = False  #: somebody wished it
    blocked_until: datetime | None = None  #: the end of a pause that the API asked for
    waits_for_store: bool = False  #: the store of the limits was away when last heard of


@dataclass(frozen=True, kw_only=True)
class Reclaim:
    """Take the place from a worker that is gone; its Dagster run is reported as failed."""

    number: int
    dead_run_id: str | None


@dataclass(frozen=True, kw_only=True)
class LaunchShard:
    """Ask for a run of the shard."""

    number: int


def decide_shards(one: ShardedImport, shards: Sequence[ShardState], now: datetime) -> list[Reclaim | LaunchShard]:
    """Which places are taken from the dead, and which shards are launched, for the first time or again."""
    known = {shard.number: shard for shard in shards}
    buried = list(_dead(shards, now))
    if not _is_worth_more(one, now):
        return [*buried]
    numbers = range(LEAD + 1, one.wanted + 1)
    launched = [LaunchShard(number=number) for number in numbers if _may_launch(known.get(number), now)]
    return [*buried, *launched]


def _dead(shards: Sequence[ShardState], now: datetime) -> Iterator[Reclaim]:
    for shard in shards:
        if shard.liveness is not None and shard.liveness.is_dead(now):
            yield Reclaim(number=shard.number, dead_run_id=shard.run_id)


def _is_worth_more(one: ShardedImport, now: datetime) -> bool:
    """Whether another worker would find something to do, and may do it."""
    if one.is_cancelled or one.waits_for_store or not one.is_listed:
        return False
    if one.blocked_until is not None and one.blocked_until > now:
        return False
    return one.items_left is None or one.items_left > one.enough_for_one


def _may_launch(shard: ShardState | None, now: datetime) -> bool:
    """Whether nobody works as the shard, is about to, or has tried so often that it counts as hopeless."""
    if shard is None:
        return True
    if shard.has_ended or shard.run_is_queued or shard.launches > MAX_RESUMES:
        return False
    if shard.liveness is not None:
        return shard.liveness.is_dead(now)
    return not _may_yet_begin(shard, now)


def _may_yet_begin(shard: ShardState, now: datetime) -> bool:
    """Whether a run was asked for a moment ago."""
    asked = shard.run_requested_at
    return shard.launches > 0 and asked is not None and abs(now - asked) < RUN_START


def may_take_lead(
    lead: Liveness, now: datetime, *, is_cancelled: bool = False, blocked_until: datetime | None = None
) -> bool:
    """Tell if a living shard takes the lead of its import over: it is free, and there is something to lead."""
    pauses = blocked_until is not None and blocked_until > now
    return not is_cancelled and not pauses and lead.is_dead(now)


class FinishRole(Enum):
    """What a worker does that finds nothing left to do."""

    LEAVE = auto()  #: somebody else ends the import
    WAIT = auto()  #: others still have to leave
    END = auto()  #: it is the last one: it ends the import


def finish_role(me: Collection[int], others: Mapping[int, bool]) -> FinishRole:
    """Of those that live, the one of the lowest number waits for the others, and ends the import.

    `me`: the numbers that this worker has; a shard may have the lead's, too. `others`: number -> whether it lives and
    has not left.
    """
    living = [number for number, lives in others.items() if lives and number not in me]
    if any(number < min(me) for number in living):
        return FinishRole.LEAVE
    return FinishRole.WAIT if living else FinishRole.END
