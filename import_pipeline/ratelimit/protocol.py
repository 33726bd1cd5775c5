"""The protocol between a process and a permit store: one exchange settles permits and grants new ones, atomically.

All times are whole microseconds. Ages and waits count from the store's now. `algorithm/` implements the exchange for
the stores in Python, `stores/lua/` for Redis.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from limits import RateLimitItem

SECOND = 1_000_000


def name_of_lane(api: str, lane: str) -> str:
    """Return the name under which a store keeps a lane of an API (see lanes.py); the API's own if `lane` is empty."""
    return f"{api}, {lane}" if lane else api


def windows_of(tiers: Iterable[RateLimitItem]) -> tuple[tuple[int, int], ...]:
    """Return (amount, window) of each tier, as an exchange request names it."""
    return tuple((tier.amount, tier.get_expiry() * SECOND) for tier in tiers)


class Outcome(StrEnum):
    """The outcome of a permit."""

    ANSWERED = "a"  #: an answer came, `age` ago: its units are taken until a window after it
    CUT_OFF = "c"  #: the connection broke, `age` ago: the request arrived by then or never will. Teaches nothing
    UNUSED = "u"  #: nothing was sent: its units are free again
    REFUSED = "r"  #: the server refused it with "too many", `age` ago, for `wait`: it did not count it; all pause
    HELD = "h"  #: refused, but a limit of its own kind of request explains it: all pause. Teaches nothing
    IN_FLIGHT = "f"  #: replayed to a store that lost it: it can still arrive for `wait`


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """A permit and its outcome."""

    permit: str
    outcome: Outcome
    age: int = 0
    wait: int = 0
    cost: int = 1  #: the units that it occupies
    is_guess: bool = False  #: True if the wait is our guess, because the server named none
    latency: int = 0  #: from sending to answer


@dataclass(frozen=True, kw_only=True, slots=True)
class PermitRequest:
    """A request for one permit. The HTTP request can arrive for `lifetime` after its start, and no longer."""

    permit: str
    lifetime: int
    cost: int = 1  #: the units that it takes in every tier. In the concurrency it always counts as one


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencySummary:
    """The latencies of some answers, each from sending to answer."""

    samples: int = 0
    warm_samples: int = 0  #: samples on connections that had brought an answer before
    lowest_latency: int = 0
    latency_sum: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedUsage:
    """The units of a configured tier that the server counted when a request arrived, from the answer's headers."""

    tier: int  #: the index among the reporting process's own tiers
    used: int
    age: int  #: since the request was sent


@dataclass(frozen=True, kw_only=True, slots=True)
class AdvertisedLimit:
    """A limit that an answer's headers named, for an API without configured limits."""

    limit: int
    used: int  #: units taken when the request arrived, its own included. `limit + 1` if it was refused
    reset: int  #: from the answer until the first of them comes free, at least
    window: int = 0  #: 0: not named
    age: int = 0  #: since the answer
    latency: int = 0  #: from sending to answer


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketCount:
    """Units of bucketed tiers that were taken `age` ago, replayed to a store that lost them."""

    units: int
    age: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeRequest:
    """The reports and permit requests of one process in one exchange."""

    api: str
    process: str  #: unique per limiter, so that the store can detect what it lost since this process's last exchange
    tiers: tuple[tuple[int, int], ...]  #: (amount, window)
    settled: tuple[Settlement, ...] = ()
    wanted: tuple[PermitRequest, ...] = ()
    advertised_fraction: int = 0  #: the fraction of the tiers' amounts that headers named, in millionths; 0: none
    latencies: LatencySummary = LatencySummary()  #: of the answers since the last exchange
    reported_usage: tuple[ReportedUsage, ...] = ()
    advertised_limits: tuple[AdvertisedLimit, ...] = ()
    bucket_counts: tuple[BucketCount, ...] = ()
    concurrent: int = 0  #: the most requests in flight over all processes; 0: any number
    look_ahead: int = 30_000  #: permits that come free within this are granted now, with the moment of their start
    count_units: bool = False  #: True to return the units taken in each tier, for display
    source: str = ""  #: whose configured limits the tiers are; set only in the first exchange of a source's limiter
    lift_pause: bool = False  #: True to end the pause: a person says that the API answers again
    refuted_limits: tuple[int, ...] = ()  #: limits that headers named before and later answers refuted


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangeReply:
    """The reply of a permit store."""

    starts: tuple[int, ...]  #: when each granted permit may start, from now, in the order of the request
    wait: int  #: from now until the next exchange for the permits that were not granted
    pause: int  #: the rest of the shared pause
    probing: bool  #: True if one request has to try first after the pause
    lost: bool  #: True if the store has lost data that this process knows
    emptied: bool  #: True if it has lost all of that data, not only the latest
    hits: int  #: answers of "too many requests" since the store began
    sleeps: int  #: intervals in which a permit was refused
    slept: int  #: their sum, up to now
    allowed_fraction: int = 1_000_000  #: the fraction of the tiers' amounts that is used, in millionths
    inferred_tiers: tuple[tuple[int, int], ...] = ()  #: (amount, window) of each, if none is configured
    in_flight: int = 0  #: requests in flight, if their number is limited
    inferred_concurrency: int = 0  #: the number of requests in flight that refusals suggest; 0: any number
    used: tuple[int, ...] = ()  #: units taken in each tier, or inferred tier, if `count_units` was set


class StoreError(Exception):
    """The store did not answer, or not in time. It may have executed the exchange or not.

    `may_pass`: True if it may answer later by itself; False if a person has to change something.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class PermitStore(Protocol):
    """A store of permits, shared by all processes that open it."""

    blocks: bool  #: True if an exchange waits for I/O, and so belongs into a thread

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Settle and grant permits in one atomic step. Raises StoreError."""
        ...

    def close(self) -> None:
        """Close connections or files; the next exchange opens them again."""
        ...
