"""A real server is asked what it will forget."""

import time

import pytest
import redis

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.ratelimit.stores.redis_health import inspect_redis, warnings


@pytest.fixture
def server(redis_url):
    """A client of the server, whose configuration is put back afterwards."""
    with redis.Redis.from_url(redis_url) as client:
        before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy", "save")}
        yield client
        for name, value in before.items():
            client.config_set(name, value)


def test_a_server_that_evicts_and_keeps_nothing_is_known_by_it(server, redis_url):
    server.config_set("maxmemory", "100mb")
    server.config_set("maxmemory-policy", "allkeys-lru")
    state = inspect_redis(redis_url)
    assert (state.evicts, state.policy, state.appends, state.save, state.replicated) == (
        True,
        "allkeys-lru",
        False,
        "",
        False,
    )
    assert state.seconds == pytest.approx(time.time(), abs=5)
    assert len(warnings(state)) == 2


def test_a_server_with_snapshots_and_no_eviction_is_sound(server, redis_url):
    server.config_set("maxmemory", "100mb")
    server.config_set("maxmemory-policy", "noeviction")
    server.config_set("save", "3600 1")
    assert warnings(inspect_redis(redis_url)) == []


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(LimiterUnavailable) as caught:
        inspect_redis("redis://:planted-secret@127.0.0.1:9/0")
    assert "Check REDIS_URL and the server" in str(caught.value)
    assert "planted-secret" not in str(caught.value)
