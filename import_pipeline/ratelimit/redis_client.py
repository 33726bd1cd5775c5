"""The client of the Redis that keeps the limits: of a single server, or of a cluster."""

import threading
from typing import Any
from urllib.parse import urlsplit

from redis import Redis, RedisCluster, RedisError
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.commands.core import Script
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from import_pipeline.settings.parsers import redis_servers

#: A cluster's own errors are no RedisError.
ERRORS = (RedisError, RedisClusterException)
PORT = 6379


def is_cluster(url: str) -> bool:
    """Return True for the address of a cluster."""
    return urlsplit(url).scheme.endswith("+cluster")


def connect_cluster(url: str, seconds: float) -> RedisCluster:
    """Connect to the first node of the address that answers, and learn the others from it. Raises ERRORS."""
    first, *others = redis_servers(url)
    nodes = [_node(server) for server in others]
    return RedisCluster.from_url(
        first,
        startup_nodes=nodes,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )


def _node(server: str) -> ClusterNode:
    parts = urlsplit(server)
    return ClusterNode(parts.hostname, parts.port or PORT)  # type: ignore[no-untyped-call]


class ClusterClient:
    """A cluster that is connected at the first use, as a client of a single server is."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url, self._seconds = url, seconds
        self._lock = threading.Lock()
        self._connected: RedisCluster | None = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._connected is None:
                self._connected = connect_cluster(self._url, self._seconds)
            return getattr(self._connected, name)

    def register_script(self, script: str) -> Script:
        """Return the script; each node loads it when it first runs there."""
        return Script(self, script)  # type: ignore[arg-type]

    def get_encoder(self) -> Any:
        """Return the encoder of keys and values. It needs no connection."""
        return Redis().get_encoder()

    def close(self) -> None:
        """Close all connections. The next use asks the nodes of the address again."""
        with self._lock:
            connected, self._connected = self._connected, None
        if connected is not None:
            connected.close()


def client_of(url: str, seconds: float) -> "Redis | ClusterClient":
    """Return a client that connects at its first use.

    It tries once: the dispatcher tries again, with newer reports.
    """
    if is_cluster(url):
        return ClusterClient(url, seconds)
    return Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0))


def primaries(url: str, seconds: float) -> "list[Redis]":
    """Return a client of each server that takes writes: of the only one, or of a cluster's. Raises ERRORS."""
    if not is_cluster(url):
        return [Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds)]
    cluster = connect_cluster(url, seconds)
    nodes = cluster.get_primaries()  # type: ignore[no-untyped-call]
    return [cluster.get_redis_connection(node) for node in nodes]
