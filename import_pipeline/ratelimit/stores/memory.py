"""The permit store in memory, for tests and for programs of one process."""

from bisect import bisect_right, insort
from collections.abc import Sequence

from import_pipeline.clock import Clock, SystemClock
from import_pipeline.ratelimit.algorithm.api_permits import ApiPermits
from import_pipeline.ratelimit.algorithm.exchange import exchange
from import_pipeline.ratelimit.algorithm.state import ApiState, begin
from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply, ExchangeRequest


class MemoryPermits:
    """Permits in this object alone, by the same algorithm as in the real stores, on any clock."""

    blocks = False

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._apis: dict[str, tuple[ApiState, MemoryWindowLog, MemoryWindowLog]] = {}
        self._known: dict[tuple[str, str], tuple[int, int]] = {}

    def exchange(self, request: ExchangeRequest) -> ExchangeReply:
        """Settle and grant permits in one step."""
        state, log, in_flight = self._apis.setdefault(request.api, (ApiState(), MemoryWindowLog(), MemoryWindowLog()))
        epoch, last_seen = self._known.get((request.api, request.process), (0, 0))
        now, lost, emptied = begin(state, self._micros(), epoch, last_seen)
        result = exchange(ApiPermits(state, log, in_flight), request, now, lost=lost, emptied=emptied)
        self._known[request.api, request.process] = (state.epoch, now)
        return result

    def _micros(self) -> int:
        return 1 + round(self._clock.monotonic() * SECOND)  # a moment of zero would mean "never seen"

    def forget(self) -> None:
        """Lose everything, as an emptied store does."""
        self._apis.clear()

    def close(self) -> None:
        """Do nothing: no connection or file is open."""


class MemoryWindowLog:
    """A window log in a sorted list."""

    def __init__(self) -> None:
        self._moments: list[int] = []
        self._by_permit: dict[str, int] = {}

    def put(self, permit: str, moment: int) -> None:
        """Add an entry, or move it."""
        self.remove(permit)
        self._by_permit[permit] = moment
        insort(self._moments, moment)

    def remove(self, permit: str) -> None:
        """Remove an entry, if it exists."""
        moment = self._by_permit.pop(permit, None)
        if moment is not None:
            self._moments.remove(moment)

    def moment(self, permit: str) -> int | None:
        """Return the moment of an entry; None if it does not exist."""
        return self._by_permit.get(permit)

    def newest(self, skip: int, count: int) -> Sequence[int]:
        """Return up to `count` moments, newest first, after skipping `skip`."""
        return self._moments[::-1][skip : skip + count]

    def later_than(self, moment: int) -> int:
        """Return the number of entries later than a moment."""
        return len(self._moments) - bisect_right(self._moments, moment)

    def first_after(self, moment: int) -> int | None:
        """Return the oldest moment later than this one."""
        index = bisect_right(self._moments, moment)
        return self._moments[index] if index < len(self._moments) else None

    def forget(self, until: int) -> None:
        """Remove all entries up to a moment."""
        over = bisect_right(self._moments, until)
        if over:
            del self._moments[:over]
            self._by_permit = {permit: moment for permit, moment in self._by_permit.items() if moment > until}
