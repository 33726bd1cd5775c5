"""Errors of a real Redis: each becomes one sentence, and says whether waiting can help."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError, ResponseError

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.protocol import ExchangeRequest, StoreError
from import_pipeline.ratelimit.stores.redis_errors import store_error
from import_pipeline.ratelimit.stores.redis_health import inspect_redis
from import_pipeline_tests.support.child_server import free_port
from import_pipeline_tests.support.database_servers import RedisServer
from import_pipeline_tests.support.redis_cluster import cluster_url


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, since its access is changed."""
    with RedisServer() as own:
        yield own


def failure(url: str) -> StoreError:
    """Return the error that the rate-limit store at that address raises."""
    permits = open_permits(url, Path())
    with pytest.raises(StoreError) as caught:
        permits.exchange(ExchangeRequest(api="x", process="1", tiers=((5, 1_000_000),)))
    permits.close()
    return caught.value


def said(error: StoreError) -> tuple[str, bool]:
    return str(error).removeprefix("the Redis rate-limit store "), error.may_pass


def test_a_password_that_is_missing_or_wrong(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url()) as client:
        client.config_set("requirepass", "right-one")
    address = server.url().removeprefix("redis://")
    assert said(failure(server.url())) == ("requires a password: write it into REDIS_URL", False)
    refused = ("refuses the user or the password in REDIS_URL", False)
    assert said(failure(f"redis://:wrong-one@{address}")) == refused
    assert said(failure(f"redis://other-user:right-one@{address}")) == refused
    with pytest.raises(LimiterUnavailable, match="requires a password"):
        inspect_redis(server.url())
    open_permits(f"redis://:right-one@{address}", Path()).exchange(ExchangeRequest(api="x", process="1", tiers=()))


def test_a_user_without_the_right_to_run_the_script(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url()) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "+@read", "+@connection", "~*")
    address = server.url().removeprefix("redis://")
    sentence, may_pass = said(failure(f"redis://reader:secret@{address}"))
    assert (sentence.startswith("does not let this user run the limits' script"), may_pass) == (True, False)


def test_tls_where_the_server_has_none(server: RedisServer) -> None:
    sentence, _ = said(failure(server.url().replace("redis://", "rediss://")))
    assert sentence == "does not answer a TLS handshake in time: if it speaks no TLS, REDIS_URL begins with redis://"


def test_a_cluster_of_which_no_node_serves_a_key() -> None:
    with RedisServer(cluster_enabled="yes", cluster_port=str(free_port())) as node:
        for url in (node.url(), cluster_url(node)):
            assert said(failure(url)) == ("belongs to a cluster that is down", True)


def test_a_replica_and_a_server_that_is_not_there(server: RedisServer) -> None:
    with redis.Redis.from_url(server.url()) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", free_port())
    sentence, may_pass = said(failure(server.url()))
    assert (sentence.startswith("is a replica and accepts no writes"), may_pass) == (True, True)
    nowhere = failure(f"redis://127.0.0.1:{free_port()}/0")
    assert nowhere.may_pass
    assert str(nowhere).endswith("Connection refused. Check REDIS_URL and the server")


def certificate() -> RedisError:
    """Return the error of redis-py for a certificate that is not trusted."""
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    cause.reason = "CERTIFICATE_VERIFY_FAILED"
    error = redis.exceptions.ConnectionError("Error 1 connecting to host:6379.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words", "may_pass"),
    [
        (redis.exceptions.MovedError("14909 127.0.0.1:17102"), "is a node of a Redis Cluster", False),
        (ResponseError("CROSSSLOT Keys in request don't hash to the same slot"), "", True),
        (certificate(), "do not agree about TLS (CERTIFICATE_VERIFY_FAILED)", False),
        (ResponseError("SELECT is not allowed in cluster mode"), "is a node of a Redis Cluster", False),
        (redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "is still reading", True),
        (ResponseError("BUSY Redis is busy running a script."), "is busy with another client's script", True),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "cannot write its data", True),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "has too few replicas", True),
        (redis.exceptions.MasterDownError("Link with MASTER is down"), "has lost its primary", True),
        (redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"), "moving its keys", True),
        (redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "no memory", True),
        (redis.exceptions.TimeoutError("Timeout reading from socket"), "Timeout reading from socket. Check", True),
    ],
)
def test_each_answer_is_one_sentence(error: RedisError, words: str, may_pass: bool) -> None:
    found = store_error(error)
    assert words in str(found)
    assert found.may_pass is may_pass
    assert "17102" not in str(found)
