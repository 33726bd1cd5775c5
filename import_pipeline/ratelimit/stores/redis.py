"""The store of permits for any number of machines: one script call in Redis or Valkey, on the server's clock."""

import time
from collections.abc import Callable
from importlib.resources import files
from urllib.parse import quote

from limits.storage import RedisStorage
from redis.exceptions import RedisClusterException

from import_pipeline.ratelimit.protocol import ExchangeReply, ExchangeRequest
from import_pipeline.ratelimit.redis_client import ERRORS, ClusterClient, client_of
from import_pipeline.ratelimit.stores.redis_errors import store_error

PARTS = ("1_state", "2_trials", "2_found", "3_places", "4_learning", "5_settle", "6_grant", "7_store")
SCRIPT = "".join(files("import_pipeline.ratelimit").joinpath(f"lua/{part}.lua").read_text() for part in PARTS)
#: Nothing is sent without a permit, so a store that does not answer soon must be noticed soon.
COMMAND_SECONDS = 0.5


class RedisPermits(RedisStorage):
    """`limits`' own Redis storage under the schemes `permits+redis` (…), and a store of permits. Thread-safe."""

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
        # As `limits`' storage of a cluster does: the client is made here, its options would be passed through untyped.
        super(RedisStorage, self).__init__(uri, wrap_exceptions=wrap_exceptions)
        self.key_prefix, self.target_server = key_prefix, "redis"
        self.dependency = self.dependencies["redis"].module
        self._client = client_of(uri.removeprefix("permits+"), command_seconds)
        self.storage = self._client
        self.initialize_storage(uri)
        self._script = self._client.register_script(script)
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[int, int, float]] = {}  # -> epoch, moment last seen, when it was asked

    def exchange(self, ask: ExchangeRequest) -> ExchangeReply:
        """One atomic step; raises StoreError."""
        asked_at = self._monotonic()
        epoch, seen, before = self._known.get((ask.api, ask.process), (0, 0, asked_at))
        elapsed = int((asked_at - before) * 1_000_000)
        try:
            reply = self._script(keys=self.keys(ask.api), args=arguments(ask, epoch, seen, elapsed))
        except ERRORS as error:
            if isinstance(error, RedisClusterException):
                self.close()  # none of the nodes that are known answers, but the address may name others
            raise store_error(error) from error
        now, epoch, wait, pause, probing, lost, emptied, *rest = map(int, reply)
        hits, sleeps, slept, part, flying, at_once, found, counted, *rest = rest
        self._known[ask.api, ask.process] = (epoch, now, asked_at)
        tiers, rest = rest[: 2 * found], rest[2 * found :]
        return ExchangeReply(
            starts=tuple(rest[counted:]),
            wait=wait,
            pause=pause,
            probing=probing > 0,
            lost=lost > 0,
            emptied=emptied > 0,
            hits=hits,
            sleeps=sleeps,
            slept=slept,
            part=part,
            found=tuple(zip(tiers[::2], tiers[1::2], strict=True)),
            flying=flying,
            at_once=at_once,
            used=tuple(rest[:counted]),
        )

    def keys(self, api: str) -> list[str]:
        """The keys of an api. What stands in braces decides the cluster's node: all live on one."""
        tag = "{" + quote(api, safe="") + "}"
        return [self.prefixed_key(f"{tag}:{what}") for what in ("permits", "state", "flying", "counts")]

    def clear(self, key: str) -> None:
        """Forget a key: a counter of other strategies, or an api. On purpose, so it is not told again."""
        self._known = {known: what for known, what in self._known.items() if known[0] != key}
        self.get_connection().delete(self.prefixed_key(key), *self.keys(key))

    def close(self) -> None:
        """Close all connections; the next step opens one again."""
        if isinstance(self._client, ClusterClient):
            self._client.close()
        else:
            self._client.connection_pool.disconnect()


def arguments(ask: ExchangeRequest, epoch: int, seen: int, elapsed: int) -> list[str | int]:
    """The script's arguments, in the order that its head tells."""
    flat: list[str | int] = [ask.look_ahead, int(ask.count), epoch, seen, elapsed, ask.told]
    flat += [
        ask.delays.quickest,
        ask.delays.answers,
        ask.delays.standing,
        ask.delays.together,
        ask.concurrent,
        int(ask.lift),
        ask.source,
        len(ask.tiers),
        len(ask.sightings),
        len(ask.named),
        len(ask.counted),
        len(ask.refuted),
        len(ask.settled),
    ]
    for amount, window in ask.tiers:
        flat += [amount, window]
    for sighting in ask.sightings:
        flat += [sighting.tier + 1, sighting.used, sighting.age]
    for named in ask.named:
        flat += [named.limit, named.used, named.reset, named.window, named.age, named.took]
    for counted in ask.counted:
        flat += [counted.places, counted.age]
    flat += ask.refuted
    for settled in ask.settled:
        flat += [settled.permit, settled.outcome.value, settled.age, settled.wait, settled.cost]
        flat += [int(settled.is_guess), settled.took]
    for wanted in ask.wanted:
        flat += [wanted.permit, wanted.lifetime, wanted.cost]
    return flat
