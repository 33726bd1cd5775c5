"""The number of requests in flight, of details or of slices: as many as the limits allow at their latency."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from import_pipeline.importer.file_descriptors import room
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.rules.concurrency import in_flight, mean_latency, too_many, within

T = TypeVar("T")


class AdaptiveConcurrency:
    """The number of fetchers, or of readers of slices.

    It grows with the latency of responses, and shrinks if they become faster.
    """

    def __init__(self, context: ImportContext) -> None:
        self.fetchers = 0  #: running now
        self._source = context.source
        self._clock = context.clock
        self._api = context.api
        self._circuit = context.circuit
        self._limits = parse_limits(context.source.limits_text)
        self._varies = any(self._limits.values())  #: without limits the number stays as it is configured
        self._room = room()  #: connections that this process may open; None: any number
        self._latency: float | None = None  #: running mean in seconds
        self._start: Callable[[], object] = lambda: None

    def begin(self, start_fetcher: Callable[[], object]) -> None:
        """Start the configured number of fetchers; further ones are started the same way."""
        self._start = start_fetcher
        for _ in range(within(self._source.concurrency, self._room)):
            self._grow()

    async def measure(self, fetch: Awaitable[T]) -> T:
        """Await a fetch and return its result. Its latency counts unless it waited for a permit or the circuit."""
        if not self._varies:
            return await fetch
        waits, trips = self._api.blocked_for() or self._circuit.open_for is not None, self._circuit.trips
        began = self._clock.monotonic()
        result = await fetch
        if not waits and not self._api.blocked_for() and self._circuit.trips == trips:
            self._latency = mean_latency(self._latency, self._clock.monotonic() - began)
            if self.fetchers < self._target(self._latency):
                self._grow()
        return result

    @property
    def is_above_target(self) -> bool:
        """Return True if a fetcher should end, since responses are so fast that fetchers only wait for permits."""
        return self._latency is not None and too_many(self.fetchers, self._target(self._latency))

    def end_fetcher(self) -> None:
        """Count a fetcher that ends."""
        self.fetchers -= 1

    def _target(self, latency_seconds: float) -> int:
        source = self._source
        tiers = self._limits.get(self._api.tally.busiest, ())
        wanted = in_flight(tiers, latency_seconds, least=source.concurrency, most=source.ceiling)
        return within(wanted, self._room)

    def _grow(self) -> None:
        self.fetchers += 1
        self._start()
