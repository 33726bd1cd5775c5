"""Health of a Redis that keeps the limits, for `doctor`: problems that would only show later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis, RedisError

from import_pipeline.errors import LimiterUnavailable
from import_pipeline.ratelimit.redis_client import ERRORS, is_cluster, primaries
from import_pipeline.ratelimit.stores.redis_errors import store_error
from import_pipeline.redaction import redact

ANSWER_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class RedisState:
    """The results of INFO and TIME; `save` is None if the server does not allow CONFIG."""

    seconds: float  #: the server's clock, since 1970
    evicts: bool  #: True if it may evict keys when its memory is full
    policy: str
    appends: bool  #: True if each write goes to a file immediately
    save: str | None  #: the schedule of snapshots; empty: never
    replicated: bool  #: True if it is a replica, which accepts no writes
    is_cluster: bool = False  #: True if it is a node of a cluster that is addressed as a single server


def inspect_redis(url: str) -> RedisState:
    """Return the state of the server; of a cluster, that of the primary with most problems.

    Any primary may keep the limits of an API. Raises LimiterUnavailable.
    """
    states = []
    try:
        for server in primaries(url, ANSWER_SECONDS):
            with server as client:
                states.append(_ask(client, is_known_cluster=is_cluster(url)))
    except ERRORS as error:
        raise LimiterUnavailable(redact(str(store_error(error)))) from error
    return max(states, key=lambda state: len(warnings(state)))


def _ask(client: "Redis", *, is_known_cluster: bool) -> RedisState:
    seconds, microseconds = client.time()
    info: Mapping[str, Any] = client.info()
    return RedisState(
        seconds=seconds + microseconds / 1_000_000,
        evicts=info.get("maxmemory", 0) > 0 and info.get("maxmemory_policy") != "noeviction",
        policy=str(info.get("maxmemory_policy")),
        appends=bool(info.get("aof_enabled")),
        save=_save(client),
        replicated=info.get("role") == "slave",
        is_cluster=bool(info.get("cluster_enabled")) and not is_known_cluster,
    )


def _save(client: "Redis") -> str | None:
    try:
        return str(client.config_get("save").get("save", ""))
    except RedisError:  # hosted servers often forbid CONFIG
        return None


def eviction(state: RedisState) -> str:
    """Return the warning about a server that evicts keys."""
    return (
        f"its maxmemory-policy {state.policy} may evict permits, after which imports wait or send too many "
        "requests: set it to noeviction"
    )


def warnings(state: RedisState) -> list[str]:
    """Return the problems of a server, each with its remedy."""
    found = []
    if state.replicated:
        found.append("it is a replica and accepts no writes: name the primary in REDIS_URL")
    if state.is_cluster:
        found.append("it is a node of a Redis Cluster: let REDIS_URL begin with redis+cluster://")
    if state.evicts:
        found.append(eviction(state))
    if not state.appends and state.save == "":
        found.append("it loses everything at a restart, after which imports wait a whole window: set appendonly to yes")
    return found
