"""The one conversation with a store of permits: settle some, ask for some, in one atomic step.

All times in here are whole microseconds, ages and waits count from the store's now. What the step does is in
`lua/` for Redis, and in `rule.py` for the stores inside of Python.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

SECOND = 1_000_000


def name_of_lane(api: str, lane: str) -> str:
    """What a store calls a lane of an api (see lanes.py); an empty one is the api itself."""
    return f"{api}, {lane}" if lane else api


class Outcome(StrEnum):
    """What became of a permit."""

    ANSWERED = "a"  #: an answer came, `age` ago: the place is taken until a window after it
    CUT_OFF = "c"  #: the connection broke, `age` ago: it arrived by then or never will, and nothing is learned
    UNUSED = "u"  #: nothing was sent: the place is free again
    REFUSED = "r"  #: the server said "too many", `age` ago, and to wait for `wait`: not counted there, all pause
    HELD = "h"  #: refused as well, but a limit of its own kind of request explains it: all pause, nothing is learned
    FLYING = "f"  #: told again to a store that lost it: it can still arrive for `wait`


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """A permit and its outcome."""

    permit: str
    outcome: Outcome
    age: int = 0
    wait: int = 0
    cost: int = 1  #: the places that were given to it
    is_guess: bool = False  #: whether the server gave no hint for the wait of a refusal
    took: int = 0  #: from its sending to the answer


@dataclass(frozen=True, kw_only=True, slots=True)
class PermitRequest:
    """A permit that is asked for. Its request can arrive for `lifetime` after it may start, and no longer."""

    permit: str
    lifetime: int
    cost: int = 1  #: the places that it takes in every tier but that of concurrency


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencySummary:
    """How long answers took, from sending to answer."""

    answers: int = 0
    standing: int = 0  #: of them, those on connections that had brought an answer before
    quickest: int = 0
    together: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedUsage:
    """What an answer's headers told: so many places of that tier were taken when its request arrived."""

    tier: int  #: the tier's place among the asking process's own
    used: int
    age: int  #: since the request was sent


@dataclass(frozen=True, kw_only=True, slots=True)
class AdvertisedLimit:
    """A limit that an answer's headers named, for an api of which none is configured."""

    limit: int
    used: int  #: places taken when its request arrived, its own included: one more than there are, if it had none
    reset: int  #: from the answer until the first of them comes free, at least
    window: int = 0  #: 0: not told
    age: int = 0  #: since the answer
    took: int = 0  #: from sending to answer


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketCount:
    """Told again to a store that lost it: so many places of long tiers were taken that long ago."""

    places: int
    age: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeRequest:
    """What one process tells and wants at once."""

    api: str
    process: str  #: a name of its own for each asking limiter, so that the store can tell it what it missed
    tiers: tuple[tuple[int, int], ...]  #: (amount, window)
    settled: tuple[Settlement, ...] = ()
    wanted: tuple[PermitRequest, ...] = ()
    told: int = 0  #: the part of the tiers' amounts that the server's headers named, in millionths; 0: none
    delays: LatencySummary = LatencySummary()  #: of those answered since the last ask
    sightings: tuple[ReportedUsage, ...] = ()
    named: tuple[AdvertisedLimit, ...] = ()
    counted: tuple[BucketCount, ...] = ()
    concurrent: int = 0  #: requests in flight at most, over all processes; 0: any number
    look_ahead: int = 30_000  #: permits that come free within this are given now, with the moment of their start
    count: bool = False  #: whether to count the places taken in each tier, for display
    source: str = ""  #: whose configured limits the tiers are; only in the first ask of a limiter that has a source
    lift: bool = False  #: whether to end the pause: a person says that the API answers again
    refuted: tuple[int, ...] = ()  #: limits that headers named before and that later answers refuted


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeReply:
    """What the store answers."""

    starts: tuple[int, ...]  #: when each granted permit may start, in the order of the asking, from now
    wait: int  #: when to ask again for those not granted, from now
    pause: int  #: what is left of the shared pause
    probing: bool  #: whether the pause's end is still to be tried, by one request alone
    lost: bool  #: whether the store has forgotten what this process knows
    emptied: bool  #: whether it has forgotten all of that, and not only the latest
    hits: int  #: answers of "too many" since the store began
    sleeps: int  #: intervals in which a wanted permit was refused
    slept: int  #: their sum, up to now
    part: int = 1_000_000  #: the part of the tiers' amounts that the server seems to grant, in millionths
    found: tuple[tuple[int, int], ...] = ()  #: (amount, window) of tiers that were learned, none being configured
    flying: int = 0  #: requests in flight, where their number is limited
    at_once: int = 0  #: requests that may be in flight, as refusals made believe; 0: any number
    used: tuple[int, ...] = ()  #: places taken in each tier, or learned tier, where they were to be counted


class StoreError(Exception):
    """The store did not answer, or not in time. What it did with the ask is unknown.

    `may_pass`: whether it may answer later by itself; False if a person has to change something.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class PermitStore(Protocol):
    """A store of permits, shared by all processes that open it."""

    blocks: bool  #: whether an exchange waits for I/O, and so belongs into a thread

    def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
        """One atomic step; raises StoreError."""
        ...

    def close(self) -> None:
        """Close what is open; the next step opens it again."""
        ...
