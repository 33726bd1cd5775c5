"""The permit store for any number of machines: one script call in Redis or Valkey, on the server's clock."""

import time
from collections.abc import Callable
from importlib.resources import files
from urllib.parse import quote

from limits.storage import RedisStorage
from redis.exceptions import RedisClusterException

from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest
from import_pipeline.ratelimit.redis_client import ERRORS, ClusterClient, client_of
from import_pipeline.ratelimit.stores.redis_errors import store_error

#: The parts of the script, in their order. Each defines the functions of the Python module that its head names.
PARTS = (
    "10_state",
    "20_inferred_tiers",
    "25_trials",
    "30_windows",
    "40_adaptation",
    "50_settle",
    "55_start_times",
    "60_grant",
    "70_reply",
)
SCRIPT = "".join(files("import_pipeline.ratelimit.stores").joinpath(f"lua/{part}.lua").read_text() for part in PARTS)
#: Nothing is sent without a permit, so a silent store must be noticed soon.
COMMAND_SECONDS = 0.5


class RedisPermits(RedisStorage):
    """`limits`' own Redis storage under the schemes `permits+redis` (…), and a permit store. Thread-safe."""

    STORAGE_SCHEME = [
        "permits+redis",
        "permits+rediss",
        "permits+unix",
        "permits+redis+cluster",
        "permits+rediss+cluster",
    ]
    PREFIX = "import_pipeline"
    blocks = True

    def __init__(
        self,
        uri: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        command_seconds: float = COMMAND_SECONDS,
        key_prefix: str = PREFIX,
        script: str = SCRIPT,
        wrap_exceptions: bool = False,
    ) -> None:
        # As in `limits`' cluster storage, the client is made here: its options would be passed through untyped.
        super(RedisStorage, self).__init__(uri, wrap_exceptions=wrap_exceptions)
        self.key_prefix, self.target_server = key_prefix, "redis"
        self.dependency = self.dependencies["redis"].module
        self._client = client_of(uri.removeprefix("permits+"), command_seconds)
        self.storage = self._client
        self.initialize_storage(uri)
        self._script = self._client.register_script(script)
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[int, int, float]] = {}  # -> epoch, moment last seen, when it was asked

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Settle and grant permits in one atomic step. Raises StoreError."""
        called_at = self._monotonic()
        epoch, last_seen, before = self._known.get((request.api, request.process), (0, 0, called_at))
        elapsed = int((called_at - before) * 1_000_000)
        try:
            reply = self._script(keys=self.keys(request.api), args=arguments(request, epoch, last_seen, elapsed))
        except ERRORS as error:
            if isinstance(error, RedisClusterException):
                self.close()  # no known node answers, but the address may name others
            raise store_error(error) from error
        now, epoch, *rest = map(int, reply)
        self._known[request.api, request.process] = (epoch, now, called_at)
        return reply_from(rest)

    def keys(self, api: str) -> list[str]:
        """Return the keys of an API. The part in braces decides the node of a cluster, so all are on one.

        A change of what they hold needs new names, since the script reads no other format.
        """
        tag = "{" + quote(api, safe="") + "}"
        return [
            self.prefixed_key(f"{tag}:{kind}") for kind in ("window_log", "api_state", "in_flight", "bucket_counts")
        ]

    def clear(self, key: str) -> None:
        """Delete a counter of other strategies, or an API's permits. They are not replayed to the store."""
        self._known = {known: seen for known, seen in self._known.items() if known[0] != key}
        self.get_connection().delete(self.prefixed_key(key), *self.keys(key))

    def close(self) -> None:
        """Close all connections; the next exchange opens one again."""
        if isinstance(self._client, ClusterClient):
            self._client.close()
        else:
            self._client.connection_pool.disconnect()


def arguments(request: ExchangeRequest, epoch: int, last_seen: int, elapsed: int) -> list[str | int]:
    """Return the script's arguments, in the order that the head of `lua/10_state.lua` gives."""
    flat: list[str | int] = [request.look_ahead, int(request.count_units), epoch, last_seen, elapsed]
    flat += [
        request.advertised_fraction,
        request.latencies.samples,
        request.latencies.warm_samples,
        request.latencies.lowest_latency,
        request.latencies.latency_sum,
        request.concurrent,
        int(request.lift_pause),
        request.source,
        len(request.tiers),
        len(request.reported_usage),
        len(request.advertised_limits),
        len(request.bucket_counts),
        len(request.refuted_limits),
        len(request.settled),
    ]
    for amount, window in request.tiers:
        flat += [amount, window]
    for usage in request.reported_usage:
        flat += [usage.tier + 1, usage.used, usage.age]
    for limit in request.advertised_limits:
        flat += [limit.limit, limit.used, limit.reset, limit.window, limit.age, limit.latency]
    for count in request.bucket_counts:
        flat += [count.units, count.age]
    flat += request.refuted_limits
    for settled in request.settled:
        flat += [settled.permit, settled.outcome.value, settled.age, settled.wait, settled.cost]
        flat += [int(settled.is_guess), settled.latency]
    for wanted in request.wanted:
        flat += [wanted.permit, wanted.lifetime, wanted.cost]
    return flat


def reply_from(values: list[int]) -> ExchangeReply:
    """Return the reply in the script's values after the moment and the epoch; see `lua/70_reply.lua`."""
    wait, pause, probing, lost, emptied, hits, sleeps, slept, allowed_fraction, in_flight, *values = values
    inferred_concurrency, inferred_tiers, used, *values = values
    tiers, values = values[: 2 * inferred_tiers], values[2 * inferred_tiers :]
    return ExchangeReply(
        starts=tuple(values[used:]),
        wait=wait,
        pause=pause,
        probing=probing > 0,
        lost=lost > 0,
        emptied=emptied > 0,
        hits=hits,
        sleeps=sleeps,
        slept=slept,
        allowed_fraction=allowed_fraction,
        inferred_tiers=tuple(zip(tiers[::2], tiers[1::2], strict=True)),
        in_flight=in_flight,
        inferred_concurrency=inferred_concurrency,
        used=tuple(values[:used]),
    )
