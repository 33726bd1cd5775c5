"""What the tests of the limiter share: sequences of asks, a reference model, stores on one virtual clock."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st

from import_pipeline.ratelimit import Limiter, RateLimitedTransport, open_permits, parse_tiers
from import_pipeline.ratelimit.connections import open_connections
from import_pipeline.ratelimit.exchange import SECOND, Ask, Exchange, Outcome, Permits, Settled, Sighting, Wanted
from import_pipeline.ratelimit.redis_storage import SCRIPT, RedisPermits
from import_pipeline.ratelimit.sqlite_storage import SQLitePermits
from import_pipeline.testing import FakeClock, MemoryPermits

LOOK_AHEAD = 30_000
TIERS = ((3, 2 * SECOND), (5, 10 * SECOND))


@dataclass
class VirtualTime:
    """Microseconds that only tests move."""

    now: int = 1_000_000_000

    def micros(self) -> int:
        return self.now

    def seconds(self) -> float:
        return self.now / SECOND


class FakeTimeRedis(RedisPermits):
    """The real script on a real server, with a key in place of the server's clock."""

    def __init__(self, url: str, time: VirtualTime) -> None:
        script = SCRIPT.replace("redis.call('TIME')", "{0, tonumber(redis.call('GET', 'now'))}")
        assert script != SCRIPT
        super().__init__(f"permits+{url}", script=script, monotonic=time.seconds)
        self._time = time

    def exchange(self, ask: Ask) -> Exchange:
        self.get_connection().set("now", self._time.now)
        return super().exchange(ask)


class FakeTimeMemory(MemoryPermits):
    """Permits in memory on the same clock."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(FakeClock())
        self._time = time

    def _micros(self) -> int:
        return self._time.now


def sqlite_store(path: Path, time: VirtualTime, boot: Callable[[], str] = lambda: "boot") -> SQLitePermits:
    """The real file, on that clock."""
    return SQLitePermits(f"permits+sqlite://{path}", micros=time.micros, boot=boot)


@dataclass(frozen=True)
class Step:
    """One ask of one process: so long after the last one, with picks from the permits that are still out."""

    process: int
    gap: int
    wanted: int
    lifetime: int
    picks: Sequence[tuple[int, Outcome, int, int]]
    tiered: bool = True
    told: int = 0
    quickest: int = 0
    sightings: Sequence[Sighting] = ()


gaps = st.one_of(
    st.integers(0, 50_000),
    st.integers(0, 3 * SECOND),
    st.sampled_from([0, 1, LOOK_AHEAD, 2 * SECOND, 2 * SECOND - LOOK_AHEAD, 10 * SECOND, 40 * SECOND, 700 * SECOND]),
)
picks = st.tuples(
    st.integers(0, 20),
    st.sampled_from([Outcome.ANSWERED, Outcome.ANSWERED, Outcome.ANSWERED, Outcome.UNUSED, Outcome.REFUSED]),
    st.integers(0, 200_000),
    st.sampled_from([0, 1, SECOND, 3 * SECOND, 15 * SECOND]),
)
steps = st.lists(
    st.builds(
        Step,
        process=st.integers(0, 2),
        gap=gaps,
        wanted=st.integers(0, 7),
        lifetime=st.sampled_from([SECOND, 5 * SECOND, 32 * SECOND]),
        picks=st.lists(picks, max_size=4),
        tiered=st.sampled_from([True, True, True, False]),
        told=st.sampled_from([0, 0, 0, 0, 400_000, 700_001, 1_000_000]),
        quickest=st.sampled_from([0, 1, 30_000, 200_000, 5 * SECOND]),
        sightings=st.lists(
            st.builds(Sighting, tier=st.integers(0, 1), used=st.integers(0, 6), age=st.integers(0, 3 * SECOND)),
            max_size=2,
        ),
    ),
    max_size=25,
)


@dataclass
class Player:
    """Turns steps into asks. All stores get the same asks, and have to grant the same."""

    time: VirtualTime
    stores: Sequence[Permits]
    out: list[str] = field(default_factory=list)
    count: int = 0

    def play(self, step: Step) -> tuple[Ask, list[Exchange]]:
        self.time.now += step.gap
        settled = []
        for index, outcome, age, wait in step.picks:
            if self.out:
                permit = self.out.pop(index % len(self.out))
                waits = wait if outcome is Outcome.REFUSED else 0
                settled.append(Settled(permit=permit, outcome=outcome, age=age, wait=waits))
        names = [f"p{self.count + number}" for number in range(step.wanted)]
        self.count += step.wanted
        ask = Ask(
            api="an {api} with/odd characters",
            process=f"process {step.process}",
            tiers=TIERS if step.tiered else (),
            settled=tuple(settled),
            wanted=tuple(Wanted(permit=name, lifetime=step.lifetime) for name in names),
            look_ahead=LOOK_AHEAD,
            count=True,
            told=step.told,
            quickest=step.quickest,
            samples=7 if step.quickest else 0,
            sightings=tuple(step.sightings) if step.tiered else (),
        )
        results = [store.exchange(ask) for store in self.stores]
        self.out += names[: len(results[0].starts)]
        return ask, results


class Reference:
    """The tiers' rule at its plainest: it may start when every window before it holds fewer than n."""

    def __init__(self) -> None:
        self.stamps: dict[str, int] = {}

    def starts(self, wanted: int, now: int) -> list[int]:
        counted = [min(stamp, now) for stamp in self.stamps.values()]  # what still flies counts as now, at best
        granted: list[int] = []
        for _ in range(wanted):
            moments = sorted(
                {now, *(stamp + window for stamp in counted for _, window in TIERS if stamp + window > now)}
            )
            start = next(at for at in moments if all(sum(s > at - w for s in counted) < n for n, w in TIERS))
            if start > now + LOOK_AHEAD:
                break
            granted.append(start)
            counted.append(now)
        return granted

    def settle(self, ask: Ask, starts: Sequence[int], now: int) -> None:
        for each in ask.settled:
            self.stamps.pop(each.permit, None)
            if each.outcome is Outcome.ANSWERED:
                self.stamps[each.permit] = now - each.age
        for wanted, start in zip(ask.wanted, starts, strict=False):
            self.stamps[wanted.permit] = now + start + wanted.lifetime


async def send_all(url: str, redis_url: str | None, sqlite_path: str, tiers: str, requests: int) -> list[int]:
    """The statuses that one process gets, refusals included, with ten workers."""
    statuses: list[int] = []
    permits = open_permits(redis_url, Path(sqlite_path))

    def observe(status: int | None) -> None:
        statuses.append(status or 0)

    async with Limiter("api", parse_tiers(tiers), permits) as limiter:
        transport = RateLimitedTransport(open_connections(limit=10), limiter, observe=observe)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            left = iter(range(requests))

            async def worker() -> None:
                for number in left:
                    await client.get(f"/api/items/{number % 9 + 1}")

            await asyncio.gather(*(worker() for _ in range(10)))
    return statuses


def send_all_here(*arguments: Any) -> list[int]:
    """The same as the action of a process."""
    return asyncio.run(send_all(*arguments))
