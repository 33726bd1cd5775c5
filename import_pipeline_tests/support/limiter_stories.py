"""Helpers of limiter tests: sequences of requests for permits, a reference model, stores on one virtual clock."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from import_pipeline.ratelimit.protocol import (
    SECOND,
    AdvertisedLimit,
    BucketCount,
    ExchangeReply,
    ExchangeRequest,
    LatencySummary,
    Outcome,
    PermitRequest,
    PermitStore,
    ReportedUsage,
    Settlement,
    StoreError,
)
from import_pipeline.ratelimit.stores.redis import SCRIPT, RedisPermits
from import_pipeline.ratelimit.stores.sqlite import SQLitePermits
from import_pipeline.testing import FakeClock, MemoryPermits

LOOK_AHEAD = 30_000
TIERS = ((3, 2 * SECOND), (5, 10 * SECOND))
DAY = 86_400 * SECOND
LONG_TIERS = (*TIERS, (9, DAY), (11, 3 * DAY))


@dataclass
class VirtualTime:
    """A clock in microseconds that only tests move."""

    now: int = 1_000_000_000

    def micros(self) -> int:
        return self.now

    def seconds(self) -> float:
        return self.now / SECOND


class SwitchableStore(MemoryPermits):
    """A store that can be switched off."""

    is_on = True

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        if not self.is_on:
            raise StoreError("the store is off")
        return super().exchange(request)


class FakeTimeRedis(RedisPermits):
    """The real script on a real server; a key takes the place of the server's clock."""

    def __init__(self, url: str, time: VirtualTime) -> None:
        script = SCRIPT.replace("redis.call('TIME')", "{0, tonumber(redis.call('GET', 'now'))}")
        assert script != SCRIPT
        super().__init__(f"permits+{url}", script=script, monotonic=time.seconds)
        self._time = time

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        self.get_connection().set("now", self._time.now)
        return super().exchange(request)


class FakeTimeMemory(MemoryPermits):
    """The in-memory store on the virtual clock."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(FakeClock())
        self._time = time

    def _micros(self) -> int:
        return self._time.now


def sqlite_store(path: Path, time: VirtualTime, boot: Callable[[], str] = lambda: "boot") -> SQLitePermits:
    """Return the SQLite store on that clock."""
    return SQLitePermits(f"permits+sqlite://{path}", micros=time.micros, boot=boot)


class LimiterClient:
    """A process that requests permits and settles them; moments are in seconds."""

    def __init__(self, tiers: tuple[tuple[int, int], ...] = ()) -> None:
        self.tiers = tiers
        self.time = VirtualTime()
        self.start = self.time.now
        self.store = FakeTimeMemory(self.time)
        self.count = 0

    def at(
        self,
        moment: float,
        wanted: int = 0,
        *settled: Settlement,
        advertised_limits: tuple[AdvertisedLimit, ...] = (),
        reported_usage: tuple[ReportedUsage, ...] = (),
        advertised_fraction: int = 0,
        latencies: LatencySummary = LatencySummary(),  # noqa: B008 - it never changes
    ) -> list[str]:
        """Exchange at that moment; return the granted permits."""
        self.time.now = self.start + round(moment * SECOND)
        names = [f"p{self.count + number}" for number in range(wanted)]
        self.count += wanted
        request = ExchangeRequest(
            api="x",
            process="1",
            tiers=self.tiers,
            settled=settled,
            wanted=tuple(PermitRequest(permit=name, lifetime=30 * SECOND) for name in names),
            advertised_limits=advertised_limits,
            reported_usage=reported_usage,
            advertised_fraction=advertised_fraction,
            latencies=latencies,
            count_units=True,
        )
        self.result: ExchangeReply = self.store.exchange(request)
        return names[: len(self.result.starts)]

    def free_answers(self, moment: float, count: int) -> list[Settlement]:
        """Return settlements of requests that were sent without a permit and answered at that moment."""
        self.count += count
        age = self.time.now - self.start - round(moment * SECOND)
        return [Settlement(permit=f"free{self.count - n}", outcome=Outcome.ANSWERED, age=age) for n in range(count)]


@dataclass(frozen=True)
class Step:
    """One request of one process: its delay after the previous one, and the open permits that it settles."""

    process: int
    gap: int
    wanted: int
    lifetime: int
    picks: Sequence[tuple[int, Outcome, int, int, bool]]
    tiers: tuple[tuple[int, int], ...] = TIERS
    concurrent: int = 0
    costs: Sequence[int] = (1,)
    advertised_limits: Sequence[AdvertisedLimit] = ()
    bucket_counts: Sequence[BucketCount] = ()
    advertised_fraction: int = 0
    lowest_latency: int = 0
    reported_usage: Sequence[ReportedUsage] = ()
    source: str = ""
    lift_pause: bool = False
    refuted_limits: Sequence[int] = ()


gaps = st.one_of(
    st.integers(0, 50_000),
    st.integers(0, 3 * SECOND),
    st.sampled_from([0, 1, LOOK_AHEAD, 2 * SECOND, 2 * SECOND - LOOK_AHEAD, 10 * SECOND, 40 * SECOND, 700 * SECOND]),
    st.sampled_from([0, 0, DAY // 100, DAY // 2, DAY, 4 * DAY]),
)
picks = st.tuples(
    st.integers(0, 20),
    st.sampled_from(
        [*3 * [Outcome.ANSWERED], Outcome.CUT_OFF, Outcome.UNUSED, Outcome.REFUSED, Outcome.HELD, Outcome.IN_FLIGHT]
    ),
    st.integers(0, 200_000),
    st.sampled_from([0, 1, SECOND, 3 * SECOND, 15 * SECOND]),
    st.booleans(),
)


def steps_with(*tiers: tuple[tuple[int, int], ...]) -> st.SearchStrategy[list[Step]]:
    """Return a strategy of steps; each process has one of these tiers configured."""
    return st.lists(
        st.builds(
            Step,
            process=st.integers(0, 2),
            gap=gaps,
            wanted=st.integers(0, 7),
            lifetime=st.sampled_from([SECOND, 5 * SECOND, 32 * SECOND]),
            picks=st.lists(picks, max_size=4),
            tiers=st.sampled_from(tiers),
            concurrent=st.sampled_from([0, 0, 0, 2, 4]),
            costs=st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=1, max_size=4),
            advertised_limits=st.lists(
                st.builds(
                    AdvertisedLimit,
                    limit=st.one_of(st.integers(1, 4), st.sampled_from([9, 10_001])),
                    used=st.integers(0, 11),
                    reset=st.sampled_from([0, SECOND, 2 * SECOND, 7 * SECOND + 1, 3600 * SECOND - 1, DAY]),
                    latency=st.sampled_from([0, 40_000, SECOND]),
                    window=st.sampled_from([0, 0, 0, 3 * SECOND // 2, 5 * SECOND, 3600 * SECOND, DAY, 3 * DAY]),
                    age=st.integers(0, 100_000),
                ),
                max_size=3,
            ),
            bucket_counts=st.lists(
                st.builds(BucketCount, units=st.integers(1, 3), age=st.integers(0, DAY)), max_size=1
            ),
            advertised_fraction=st.sampled_from([0, 0, 0, 0, 400_000, 700_001, 1_000_000]),
            lowest_latency=st.sampled_from([0, 1, 30_000, 200_000, 5 * SECOND]),
            reported_usage=st.lists(
                st.builds(
                    ReportedUsage, tier=st.integers(0, 1), used=st.integers(0, 6), age=st.integers(0, 3 * SECOND)
                ),
                max_size=2,
            ),
            source=st.sampled_from(["", "", "", "orders", "a source; of/others"]),
            lift_pause=st.sampled_from([False, False, False, False, True]),
            refuted_limits=st.lists(st.integers(1, 4), max_size=1),
        ),
        max_size=25,
    )


steps = steps_with(TIERS, TIERS, LONG_TIERS, LONG_TIERS, ())


@dataclass
class StepPlayer:
    """Turns steps into requests. All stores get the same requests and must grant the same permits."""

    time: VirtualTime
    stores: Sequence[PermitStore]
    out: list[tuple[str, int]] = field(default_factory=list)  #: permits and their costs
    count: int = 0

    def play(self, step: Step) -> tuple[ExchangeRequest, list[ExchangeReply]]:
        self.time.now += step.gap
        settled = []
        for index, outcome, age, wait, is_guess in step.picks:
            if self.out:
                permit, cost = self.out.pop(index % len(self.out))
                waits = wait if outcome in (Outcome.REFUSED, Outcome.IN_FLIGHT) else 0
                settled.append(
                    Settlement(permit=permit, cost=cost, outcome=outcome, age=age, wait=waits, is_guess=is_guess)
                )
                if outcome is Outcome.IN_FLIGHT:
                    self.out.append((permit, cost))
        names = [f"p{self.count + number}" for number in range(step.wanted)]
        costs = [step.costs[number % len(step.costs)] for number in range(step.wanted)]
        self.count += step.wanted
        request = ExchangeRequest(
            api="an {api} with/odd characters",
            process=f"process {step.process}",
            tiers=step.tiers,
            concurrent=step.concurrent,
            advertised_limits=tuple(step.advertised_limits),
            bucket_counts=tuple(step.bucket_counts),
            settled=tuple(settled),
            wanted=tuple(
                PermitRequest(permit=name, lifetime=step.lifetime, cost=cost)
                for name, cost in zip(names, costs, strict=True)
            ),
            look_ahead=LOOK_AHEAD,
            count_units=True,
            advertised_fraction=step.advertised_fraction,
            latencies=LatencySummary(
                samples=7 if step.lowest_latency else 0,
                warm_samples=step.wanted % 8 if step.lowest_latency else 0,
                lowest_latency=step.lowest_latency,
                latency_sum=8 * step.lowest_latency,
            ),
            reported_usage=tuple(step.reported_usage) if step.tiers else (),
            source=step.source,
            lift_pause=step.lift_pause,
            refuted_limits=tuple(step.refuted_limits),
        )
        results = [store.exchange(request) for store in self.stores]
        self.out += list(zip(names, costs, strict=True))[: len(results[0].starts)]
        return request, results


class ReferenceModel:
    """The rules in their simplest form: a request may start when every window before it has room for its cost.

    Long tiers are counted exactly here, not in hundredths.
    """

    def __init__(self, tiers: Sequence[tuple[int, int]] = TIERS, concurrent: int = 0) -> None:
        self.tiers, self.concurrent = tiers, concurrent
        self.stamps: dict[str, tuple[int, int]] = {}  #: (moment, cost)
        self.flying: dict[str, int] = {}

    def starts(self, wanted: Sequence[PermitRequest], now: int) -> list[int]:
        counted = [(min(stamp, now), cost) for stamp, cost in self.stamps.values()]  # if in flight, as sent now
        landing = sum(moment > now for moment in self.flying.values())
        granted: list[int] = []
        for each in wanted:
            moments = sorted({now, *(s + window for s, _ in counted for _, window in self.tiers if s + window > now)})
            start = next(
                at
                for at in moments
                if all(sum(c for s, c in counted if s > at - w) + each.cost <= n for n, w in self.tiers)
            )
            is_full = self.concurrent and landing + len(granted) >= self.concurrent
            if start > now + LOOK_AHEAD or is_full:
                break
            granted.append(start)
            counted.append((now, each.cost))
        return granted

    def settle(self, request: ExchangeRequest, starts: Sequence[int], now: int) -> None:
        for each in request.settled:
            self.stamps.pop(each.permit, None)
            self.flying.pop(each.permit, None)
            if each.outcome in (Outcome.ANSWERED, Outcome.CUT_OFF):
                self.stamps[each.permit] = (now - each.age, each.cost)
        for wanted, start in zip(request.wanted, starts, strict=False):
            self.stamps[wanted.permit] = (now + start + wanted.lifetime, wanted.cost)
            self.flying[wanted.permit] = now + start + wanted.lifetime
