"""The history of one process's own permits: enough to replay them to a store that lost them."""

from collections import deque

from import_pipeline.ratelimit.protocol import SECOND, BucketCount, Outcome, Settlement

#: Beyond this number, the oldest permits are not remembered one by one.
MOST_PERMITS = 20_000


class PermitHistory:
    """The permits of one process that still occupy units. Moments are seconds on its own monotonic clock.

    Permits that only a longer window still counts are kept as a number per hundredth of that window.
    """

    def __init__(self, window: float, longest_window: float = 0.0) -> None:
        self._window = window
        self._longest = max(window, longest_window)
        self._answered: deque[tuple[str, int, float]] = deque()
        self._in_flight: dict[str, tuple[int, float]] = {}
        self._buckets: deque[list[float]] = deque()  #: [end of the bucket, units]

    def granted(self, permit: str, cost: int, latest_arrival: float) -> None:
        """Remember a permit whose request can arrive until then."""
        self._in_flight[permit] = (cost, latest_arrival)

    def answered(self, permit: str, cost: int, moment: float) -> None:
        """Remember the moment of a permit's answer."""
        self._in_flight.pop(permit, None)
        self._answered.append((permit, cost, moment))
        while self._answered[0][2] < moment - self._window or len(self._answered) > MOST_PERMITS:
            self._add_to_bucket(*self._answered.popleft()[1:])

    def remove(self, permit: str) -> None:
        """Drop a permit that occupies no units anymore."""
        self._in_flight.pop(permit, None)

    def tidy(self, now: float) -> None:
        """Drop requests that were never answered and have left the window."""
        over = [permit for permit, (_, latest) in self._in_flight.items() if latest < now - self._window]
        for permit in over:
            self._add_to_bucket(*self._in_flight.pop(permit))
        while self._buckets and self._buckets[0][0] < now - self._longest:
            self._buckets.popleft()

    def replay(self, now: float) -> list[Settlement]:
        """Return every permit that still occupies units, as of now."""
        since = now - self._window
        in_flight = [(permit, cost, latest) for permit, (cost, latest) in self._in_flight.items()]
        return [
            Settlement(permit=permit, cost=cost, outcome=Outcome.IN_FLIGHT, wait=int((moment - now) * SECOND))
            if moment > now
            else Settlement(permit=permit, cost=cost, outcome=Outcome.ANSWERED, age=int((now - moment) * SECOND))
            for permit, cost, moment in [*self._answered, *in_flight]
            if moment > since
        ]

    def replay_buckets(self, now: float) -> list[BucketCount]:
        """Return the units that only bucketed tiers still count."""
        return [BucketCount(units=int(units), age=int(max(0.0, now - end) * SECOND)) for end, units in self._buckets]

    def _add_to_bucket(self, cost: int, moment: float) -> None:
        if self._longest == self._window:
            return
        if self._buckets and moment < self._buckets[-1][0] + self._longest / 100:
            self._buckets[-1][1] += cost
            return
        # Counted as of the end of the bucket: a later moment is the safe side.
        self._buckets.append([moment + self._longest / 100, cost])
