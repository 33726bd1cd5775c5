"""What one process knows of its own requests: enough to tell it again to a store that lost it."""

from collections import deque

from import_pipeline.ratelimit.protocol import SECOND, BucketCount, Outcome, Settlement

#: More stamps than this are not remembered one by one: the oldest go first.
MOST = 20_000


class Memory:
    """The permits of one process that still occupy a place, with moments on its own monotonic clock in seconds.

    Of those that only a tier with a longer window still counts, it keeps their number per hundredth of that window.
    """

    def __init__(self, window: float, longest_window: float = 0.0) -> None:
        self._window = window
        self._longest = max(window, longest_window)
        self._answered: deque[tuple[str, int, float]] = deque()
        self._flying: dict[str, tuple[int, float]] = {}
        self._older: deque[list[float]] = deque()  #: [moment of the last, places] per hundredth

    def granted(self, permit: str, cost: int, latest_arrival: float) -> None:
        """A request may be sent with it; until it is settled it can arrive up to then."""
        self._flying[permit] = (cost, latest_arrival)

    def answered(self, permit: str, cost: int, moment: float) -> None:
        """Its answer came."""
        self._flying.pop(permit, None)
        self._answered.append((permit, cost, moment))
        while self._answered[0][2] < moment - self._window or len(self._answered) > MOST:
            self._grow_old(*self._answered.popleft()[1:])

    def gone(self, permit: str) -> None:
        """It occupies no place anymore."""
        self._flying.pop(permit, None)

    def tidy(self, now: float) -> None:
        """Forget requests that were never answered and no longer matter one by one."""
        over = [permit for permit, (_, latest) in self._flying.items() if latest < now - self._window]
        for permit in over:
            self._grow_old(*self._flying.pop(permit))
        while self._older and self._older[0][0] < now - self._longest:
            self._older.popleft()

    def told_again(self, now: float) -> list[Settlement]:
        """Every permit that still matters, as of now."""
        since = now - self._window
        flying = [(permit, cost, latest) for permit, (cost, latest) in self._flying.items()]
        return [
            Settlement(permit=permit, cost=cost, outcome=Outcome.FLYING, wait=int((moment - now) * SECOND))
            if moment > now
            else Settlement(permit=permit, cost=cost, outcome=Outcome.ANSWERED, age=int((now - moment) * SECOND))
            for permit, cost, moment in [*self._answered, *flying]
            if moment > since
        ]

    def counted_again(self, now: float) -> list[BucketCount]:
        """What only long tiers still count."""
        return [BucketCount(places=int(places), age=int(max(0.0, now - last) * SECOND)) for last, places in self._older]

    def _grow_old(self, cost: int, moment: float) -> None:
        if self._longest == self._window:
            return
        if self._older and moment < self._older[-1][0] + self._longest / 100:
            self._older[-1][1] += cost
            return
        # Told as of the end of its hundredth: late is safe.
        self._older.append([moment + self._longest / 100, cost])
