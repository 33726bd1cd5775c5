"""What is wrong with a Redis that keeps the limits, before it shows: asked of the server itself."""

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
    """What INFO and TIME tell; `save` is None where the server does not let us ask."""

    seconds: float  #: the server's clock, since 1970
    evicts: bool  #: whether it may throw keys out when its memory is full
    policy: str
    appends: bool  #: whether each write goes to a file at once
    save: str | None  #: when snapshots are written; empty: never
    replicated: bool  #: whether it is a replica, which takes no writes
    is_cluster: bool = False  #: whether it is a node of a cluster that is addressed as a single server


def inspect_redis(url: str) -> RedisState:
    """Ask the server; of a cluster, all that take writes, and return the first that is weak. Raises LimiterUnavailable.

    Any of them may keep the limits of an api.
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
    """What an evicting server may do to the limits."""
    return (
        f"its maxmemory-policy {state.policy} may throw permits out, after which imports wait or send too many "
        "requests: set it to noeviction"
    )


def warnings(state: RedisState) -> list[str]:
    """What will go wrong some day, each with how to mend it."""
    found = []
    if state.replicated:
        found.append("it is a replica: name the primary in REDIS_URL, nothing can be written here")
    if state.is_cluster:
        found.append("it is a node of a Redis Cluster: let REDIS_URL begin with redis+cluster://")
    if state.evicts:
        found.append(eviction(state))
    if not state.appends and state.save == "":
        found.append(
            "it forgets everything at a restart, after which imports wait a whole window: set appendonly to yes"
        )
    return found
