"""The store in trouble: killed, emptied, hanging, half-open, its clock set. Nothing is ever sent on a guess."""

import asyncio
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.ratelimit import Limiter, open_permits, parse_tiers
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, Outcome, PermitRequest, Settlement, StoreError
from import_pipeline.ratelimit.stores.redis import RedisPermits
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.limiter_stories import FakeTimeRedis, VirtualTime, sqlite_store
from import_pipeline_tests.support.slow_proxy import SlowProxy

TIERS = parse_tiers("5/3 second")
WINDOWS = ((5, 10 * SECOND),)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may kill."""
    with RedisServer() as server:
        yield server


def ask(names: str, *settled: Settlement, process: str = "1") -> ExchangeRequest:
    wanted = tuple(PermitRequest(permit=name, lifetime=30 * SECOND) for name in names)
    return ExchangeRequest(api="x", process=process, tiers=WINDOWS, wanted=wanted, settled=settled)


@pytest.mark.anyio
async def test_permits_are_replayed_to_a_redis_that_comes_back_empty(own_redis: RedisServer) -> None:
    """Five places were taken just before; the newborn store grants none of them a second time."""
    permits = open_permits(own_redis.url(), Path("unused"))
    async with Limiter("x", TIERS, permits) as limiter:
        taken = [await limiter.acquire(deadline=5) for _ in range(5)]
        for permit in taken[:3]:
            limiter.answered(permit)
        own_redis.kill()
        waiting = asyncio.create_task(limiter.acquire(deadline=5))
        await asyncio.sleep(0.6)
        assert not waiting.done()
        own_redis.start()
        back = time.monotonic()
        await waiting
        # Three seconds after the answers at the earliest, two after the return at the latest.
        assert back - 1 < time.monotonic() < back + 5
        assert (await limiter.usage()).tiers[0].used >= 3


@pytest.mark.anyio
async def test_two_processes_find_each_other_again_after_a_flush(own_redis: RedisServer) -> None:
    """The first process that notices waits for the others: together they get no more than the tier allows."""
    first, second = open_permits(own_redis.url(), Path("a")), open_permits(own_redis.url(), Path("b"))
    async with Limiter("x", TIERS, first) as one, Limiter("x", TIERS, second) as other:
        moments: list[float] = []
        for limiter in (one, other, one, other, one):
            limiter.answered(await limiter.acquire())
            moments.append(time.monotonic())
        await asyncio.sleep(0.2)
        own_redis.flush()

        async def next_one(limiter: Limiter) -> None:
            limiter.answered(await limiter.acquire())
            moments.append(time.monotonic())

        await asyncio.gather(*(next_one(limiter) for limiter in (one, other, one, other)))
    assert min(moments[5:]) - moments[0] >= 3


@pytest.mark.anyio
async def test_a_redis_that_accepts_and_never_answers_is_an_error_after_the_patience() -> None:
    """Half-open: each try ends after the command timeout, the loop is never blocked, nothing is granted."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        async with Limiter("x", TIERS, open_permits(url, Path("x")), store_patience=timedelta(seconds=1)) as limiter:
            began, turns = time.monotonic(), 0
            waiting = asyncio.create_task(limiter.acquire())
            while not waiting.done():
                turns += 1
                await asyncio.sleep(0.01)
            with pytest.raises(LimiterUnavailable, match="nothing is sent"):
                await waiting
            assert 1 <= time.monotonic() - began < 4
            assert turns > 50


@pytest.mark.anyio
async def test_no_redis_at_all_is_an_error_after_the_patience() -> None:
    url = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    async with Limiter("x", TIERS, open_permits(url, Path("x")), store_patience=timedelta(seconds=0.5)) as limiter:
        with pytest.raises(LimiterUnavailable) as caught:
            await limiter.acquire()
        assert "hunter2" not in str(caught.value)


def test_a_slow_redis_only_costs_time(own_redis: RedisServer) -> None:
    """Each answer takes 200 ms through a proxy: the permits come all the same."""
    with SlowProxy(own_redis.port, delay=0.2) as port:
        permits = RedisPermits(f"permits+redis://127.0.0.1:{port}/0")
        assert len(permits.exchange(ask("abcde")).starts) == 5
        assert permits.exchange(ask("f")).starts == ()
        permits.close()


@pytest.mark.anyio
async def test_a_connection_that_goes_dead_grants_nothing_until_it_lives_again(own_redis: RedisServer) -> None:
    """Half-open: bytes go nowhere, and no connection breaks. Five places are taken; no answer reports a free one."""
    proxy = SlowProxy(own_redis.port, delay=0.0)
    with proxy as port:
        async with Limiter("x", TIERS, open_permits(f"redis://127.0.0.1:{port}/0", Path("x"))) as limiter:
            for _ in range(5):
                limiter.answered(await limiter.acquire())
            await asyncio.sleep(0.5)
            proxy.is_dead.set()
            waiting = asyncio.create_task(limiter.acquire())
            await asyncio.sleep(4)
            assert not waiting.done()
            proxy.is_dead.clear()
            back = time.monotonic()
            await waiting
            assert time.monotonic() - back < 5


@pytest.mark.parametrize("step", [3600, -3600], ids=["an hour ahead", "an hour back"])
def test_a_servers_clock_that_is_set_grants_nothing(redis_url: str, step: int) -> None:
    """Redis' clock jumps; the asking process knows that a second passed. At worst, that second is lost."""
    clock, server = VirtualTime(), VirtualTime()
    permits = FakeTimeRedis(redis_url, clock)
    permits._time = server
    assert len(permits.exchange(ask("abcde")).starts) == 5
    answers = [Settlement(permit=name, outcome=Outcome.ANSWERED) for name in "abcde"]
    permits.exchange(ask("", *answers))
    clock.now += SECOND
    server.now += SECOND + step * SECOND
    refused = permits.exchange(ask("f"))
    assert refused.starts == ()
    assert 9 * SECOND - 30_000 <= refused.wait < 10 * SECOND
    clock.now += refused.wait + 30_000
    server.now += refused.wait + 30_000
    assert len(permits.exchange(ask("ghijk")).starts) == 5
    permits.close()


def test_a_reboot_grants_nothing_and_loses_only_the_time_it_took(tmp_path: Path) -> None:
    """The monotonic clock starts again, under another boot's name: what was left to wait is still left."""
    time_, boots = VirtualTime(), ["one"]
    permits = sqlite_store(tmp_path / "limits.db", time_, lambda: boots[0])
    permits.exchange(ask("abcde"))
    permits.exchange(ask("", *(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in "abcde")))
    time_.now += 4 * SECOND
    permits.exchange(ask(""))
    permits.close()
    boots[0], time_.now = "two", 2 * SECOND  # two seconds after boot
    refused = permits.exchange(ask("f"))
    assert (refused.starts, refused.wait) == ((), 4 * SECOND - 30_000)
    permits.close()


def test_an_older_copy_of_the_file_is_noticed(tmp_path: Path) -> None:
    """Restored from a backup while the process lives: the process learns it, and nothing is granted for 2 seconds."""
    path, time_ = tmp_path / "limits.db", VirtualTime()
    permits = sqlite_store(path, time_)
    permits.exchange(ask("a"))
    permits.close()
    shutil.copy(path, tmp_path / "backup.db")
    time_.now += SECOND
    permits.exchange(ask("bcde"))
    permits.close()
    for part in tmp_path.glob("limits.db*"):
        part.unlink()
    shutil.copy(tmp_path / "backup.db", path)
    time_.now += SECOND
    result = permits.exchange(ask("f"))
    assert (result.lost, result.starts, result.wait) == (True, (), 2 * SECOND)
    permits.close()


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "limits.db").mkdir()
    permits = sqlite_store(tmp_path / "limits.db", VirtualTime())
    with pytest.raises(StoreError, match=r"limits\.db"):
        permits.exchange(ask("a"))
    assert permits.check() is False
    permits.close()


def test_every_key_expires_and_lives_on_one_node_of_a_cluster(redis_url: str) -> None:
    permits = RedisPermits(f"permits+{redis_url}")
    wanted = (PermitRequest(permit="p", lifetime=SECOND),)
    tiers = (*WINDOWS, (100, 86_400 * SECOND))
    permits.exchange(ExchangeRequest(api="a {weird} api", process="1", tiers=tiers, concurrent=5, wanted=wanted))
    client = permits.get_connection()
    keys = sorted(client.keys("*"))
    kinds = (b"api_state", b"bucket_counts", b"in_flight", b"window_log")
    assert keys == [b"import_pipeline:{a%20%7Bweird%7D%20api}:" + kind for kind in kinds]
    week = 7 * 24 * 3600 * 1000
    assert all(week - 1000 < client.pttl(key) < 2 * week for key in keys)
    permits.close()
