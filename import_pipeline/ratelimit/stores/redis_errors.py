"""Translate each error of Redis into one sentence, and decide if waiting can help."""

import ssl
from collections.abc import Iterator

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)

from import_pipeline.ratelimit.protocol import StoreError

CHECK = "Check REDIS_URL and the server"
#: The first word of the server's error -> the sentence. These states end by themselves, or by a failover.
PASSING = {
    "READONLY": "is a replica and accepts no writes, as after a failover: REDIS_URL has to name the primary",
    "LOADING": "is still reading its data from the disk",
    "BUSY": "is busy with another client's script",
    "CLUSTERDOWN": "belongs to a cluster that is down",
    "MASTERDOWN": "is a replica that has lost its primary",
    "TRYAGAIN": "is moving its keys",
    "OOM": "has no memory left: raise its maxmemory",
    "MISCONF": "cannot write its data to the disk, and so accepts no writes",
    "NOREPLICAS": "has too few replicas, and so accepts no writes",
}
#: These need a person to change something.
LASTING = {
    "WRONGPASS": "refuses the user or the password in REDIS_URL",
    "NOAUTH": "requires a password: write it into REDIS_URL",
    "NOPERM": "does not let this user run the limits' script: allow +@scripting +@read +@write ~import_pipeline:*",
    "MOVED": "is a node of a Redis Cluster: let REDIS_URL begin with redis+cluster:// (rediss+cluster:// with TLS)",
    "SINGLE": "is a single server, no Redis Cluster: let REDIS_URL begin with redis:// (rediss:// with TLS)",
}
TLS = "and REDIS_URL do not agree about TLS ({}): rediss:// is with TLS, redis:// without"
HANDSHAKE = "does not answer a TLS handshake in time: if it speaks no TLS, REDIS_URL begins with redis://"
#: Errors that redis-py derives from the first word, which it then drops.
WORDS: tuple[tuple[type[RedisError], str], ...] = (
    (ReadOnlyError, "READONLY"),
    (BusyLoadingError, "LOADING"),
    (MasterDownError, "MASTERDOWN"),  # before its base class
    (ClusterDownError, "CLUSTERDOWN"),
    (TryAgainError, "TRYAGAIN"),
    (OutOfMemoryError, "OOM"),
    (NoPermissionError, "NOPERM"),
    (AskError, "MOVED"),
    (ClusterCrossSlotError, "MOVED"),
    (AuthorizationError, "NOAUTH"),
)


def store_error(error: RedisError | RedisClusterException) -> StoreError:
    """Return the StoreError for an error of Redis."""
    if isinstance(error, RedisClusterException):
        said = next((each for each in _causes(error) if isinstance(each, RedisError)), None)
        return store_error(said or ClusterDownError(str(error)))  # without one, a part of the slots has no node
    word = _word(error)
    if word in PASSING:
        return StoreError(f"the Redis rate-limit store {PASSING[word]}")
    if word in LASTING:
        return StoreError(f"the Redis rate-limit store {LASTING[word]}", may_pass=False)
    tls = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if tls is not None:
        return StoreError(f"the Redis rate-limit store {TLS.format(tls.reason or 'it broke off')}", may_pass=False)
    if any("handshake" in str(each) for each in _causes(error)):  # a server without TLS waits for the rest of a line
        return StoreError(f"the Redis rate-limit store {HANDSHAKE}")
    return StoreError(f"the Redis rate-limit store: {str(error).rstrip('.')}. {CHECK}")


def _word(error: RedisError) -> str:
    text = str(error)
    found = next((word for kind, word in WORDS if isinstance(error, kind)), text.partition(" ")[0])
    if isinstance(error, AuthenticationError) and found not in LASTING:
        return "NOAUTH" if "required" in text or "already authenticated" in text else "WRONGPASS"
    if "cluster support disabled" in text:
        return "SINGLE"
    return "MOVED" if "cluster mode" in text else found


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__
