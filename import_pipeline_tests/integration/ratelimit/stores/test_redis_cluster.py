"""The limits in a real Redis Cluster: all keys of an api on one of its nodes, wherever that is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from limits import parse
from limits.storage import storage_from_string

from import_pipeline import run_import
from import_pipeline.errors import LimiterUnavailable
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.limits_strategy import ResponseClockedRateLimiter
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, PermitRequest, StoreError
from import_pipeline.ratelimit.stores.open import storage_uri
from import_pipeline.ratelimit.stores.redis_health import inspect_redis, warnings
from import_pipeline.ratelimit.tokens.redis import RedisTokens
from import_pipeline_tests.support import http
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.imports import demo_api, settings
from import_pipeline_tests.support.redis_cluster import cluster, cluster_url, send_command

TIERS = ((5, 60 * SECOND),)
#: Their keys lie on both nodes.
APIS = [f"api {number}" for number in range(8)]


@pytest.fixture(scope="module")
def shared() -> Iterator[list[RedisServer]]:
    with cluster() as nodes:
        yield nodes


@pytest.fixture
def nodes(shared: list[RedisServer]) -> list[RedisServer]:
    for node in shared:
        node.flush()
    return shared


def ask(api: str, process: str, count: int = 4) -> ExchangeRequest:
    wanted = tuple(PermitRequest(permit=f"{process}{number}", lifetime=SECOND) for number in range(count))
    return ExchangeRequest(api=api, process=process, tiers=TIERS, concurrent=10, wanted=wanted)


def test_processes_share_the_limits_of_each_api_whichever_node_keeps_it(nodes: list[RedisServer]) -> None:
    first, second = (open_permits(cluster_url(node), Path()) for node in nodes)
    for api in APIS:
        granted = [len(first.exchange(ask(api, "a")).starts), len(second.exchange(ask(api, "b")).starts)]
        assert granted == [4, 1]
    for store in (first, second):
        store.close()
    kept = [int(str(send_command(node, "DBSIZE"))) for node in nodes]
    assert min(kept) > 0, "both nodes keep some"


def test_keys_that_move_to_the_other_node_are_followed(nodes: list[RedisServer]) -> None:
    permits = open_permits(cluster_url(*nodes), Path())
    [slot] = {int(str(send_command(nodes[0], "CLUSTER", "KEYSLOT", key))) for key in permits.keys("moving")}
    permits.exchange(ask("moving", "a"))
    giver, taker = nodes if slot < 8192 else nodes[::-1]
    names = {node: bytes(send_command(node, "CLUSTER", "MYID")).decode() for node in nodes}
    move(giver, taker, slot, names)
    try:
        assert len(permits.exchange(ask("moving", "b")).starts) == 1
    finally:
        permits.close()
        move(taker, giver, slot, names)


def move(giver: RedisServer, taker: RedisServer, slot: int, names: dict[RedisServer, str]) -> None:
    """Do what a resharding does."""
    send_command(taker, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[giver])
    send_command(giver, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[taker])
    with redis.Redis.from_url(giver.url()) as client:
        keys = client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
    if keys:
        send_command(giver, "MIGRATE", "127.0.0.1", taker.port, "", 0, 5000, "KEYS", *keys)
    for node in (taker, giver):
        send_command(node, "CLUSTER", "SETSLOT", slot, "NODE", names[taker])


def test_a_node_of_the_address_that_is_not_there_is_passed_over(nodes: list[RedisServer]) -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{nodes[1].port}"
    permits = open_permits(url, Path())
    assert len(permits.exchange(ask("x", "a")).starts) == 4
    permits.close()


def test_nothing_is_connected_before_the_first_use() -> None:
    permits = open_permits(f"redis+cluster://127.0.0.1:{free_port()}", Path())
    with pytest.raises(StoreError, match=r"Connection refused\. Check REDIS_URL") as caught:
        permits.exchange(ask("x", "a"))
    assert caught.value.may_pass
    permits.close()


def test_a_single_address_of_a_cluster_names_the_scheme_that_it_needs(nodes: list[RedisServer]) -> None:
    said = []
    permits = open_permits(nodes[0].url(), Path())
    for api in APIS:
        try:
            permits.exchange(ask(api, "a"))
        except StoreError as error:
            said.append((str(error), error.may_pass))
    permits.close()
    assert set(said) == {
        (
            "the Redis rate-limit store is a node of a Redis Cluster: let REDIS_URL begin with redis+cluster:// "
            "(rediss+cluster:// with TLS)",
            False,
        )
    }
    assert "redis+cluster://" in warnings(inspect_redis(nodes[0].url()))[0]


def test_a_cluster_address_of_a_single_server_names_the_scheme_that_it_needs(redis_server: RedisServer) -> None:
    sentence = r"is a single server, no Redis Cluster: let REDIS_URL begin with redis://"
    permits = open_permits(cluster_url(redis_server), Path())
    with pytest.raises(StoreError, match=sentence) as caught:
        permits.exchange(ask("x", "a"))
    assert not caught.value.may_pass
    with pytest.raises(LimiterUnavailable, match=sentence):
        inspect_redis(cluster_url(redis_server))


def test_the_weakest_node_is_the_one_that_is_reported(nodes: list[RedisServer]) -> None:
    with redis.Redis.from_url(nodes[1].url()) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            state = inspect_redis(cluster_url(nodes[0]))
        finally:
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")
    assert (state.evicts, state.is_cluster) == (True, False)


def test_a_cluster_serves_the_interface_of_limits(nodes: list[RedisServer]) -> None:
    storage = storage_from_string(storage_uri(cluster_url(*nodes), Path()))
    limiter, item = ResponseClockedRateLimiter(storage), parse("5/10 second")
    assert [limiter.hit(item, "a") for _ in range(6)] == [True] * 5 + [False]
    assert (storage.incr("x", 60), storage.get("x"), storage.check()) == (1, 1, True)
    limiter.clear(item, "a")
    assert limiter.hit(item, "a") is True


def test_an_import_keeps_its_limits_in_a_cluster(nodes: list[RedisServer], home: Path) -> None:
    with demo_api(items=20, limits="20/1 second") as url:
        configured = settings(home, url, REDIS_URL=cluster_url(*nodes), ITEMS_LIMITS="20/1 second")
        summary = run_import("items", settings=configured)
        refused = http.get(f"{url}/_stats").json()["rate_limited"]
    assert (summary.status, summary.items_imported_count, refused) == ("completed", 20, 0)


def test_processes_share_each_token_whichever_node_keeps_it(nodes: list[RedisServer]) -> None:
    first, second = (RedisTokens(cluster_url(node)) for node in nodes)
    for name in APIS:
        assert first.claim(name, "a", 30).is_granted
        assert not second.claim(name, "b", 30).is_granted
        assert first.put(name, "a", b"sealed", after=0, age=0) == 1
        claim = second.claim(name, "b", 30)
        assert claim.stored is not None
        assert (claim.is_granted, claim.stored.value) == (True, b"sealed")
    first.close()
    second.close()
