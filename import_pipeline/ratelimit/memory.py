"""What one process knows of its own requests: enough to tell it again to a store that lost it."""

from collections import deque

from import_pipeline.ratelimit.exchange import SECOND, Outcome, Settled

#: More stamps than this are not remembered: the oldest go first.
MOST = 100_000


class Memory:
    """The permits of one process that still occupy a place, with moments on its own monotonic clock in seconds."""

    def __init__(self, longest_window: float) -> None:
        self._longest_window = longest_window
        self._answered: deque[tuple[str, float]] = deque(maxlen=MOST)
        self._flying: dict[str, float] = {}

    def granted(self, permit: str, latest_arrival: float) -> None:
        """A request may be sent with it; until it is settled it can arrive up to then."""
        self._flying[permit] = latest_arrival

    def answered(self, permit: str, moment: float) -> None:
        """Its answer came."""
        self._flying.pop(permit, None)
        self._answered.append((permit, moment))
        while self._answered[0][1] < moment - self._longest_window:
            self._answered.popleft()

    def gone(self, permit: str) -> None:
        """It occupies no place anymore."""
        self._flying.pop(permit, None)

    def tidy(self, now: float) -> None:
        """Forget requests that were never answered and no longer matter."""
        over = [permit for permit, latest in self._flying.items() if latest < now - self._longest_window]
        for permit in over:
            del self._flying[permit]

    def told_again(self, now: float) -> list[Settled]:
        """Everything that still matters, as of now."""
        since = now - self._longest_window
        moments = [*self._answered, *self._flying.items()]
        return [
            Settled(permit=permit, outcome=Outcome.FLYING, wait=int((moment - now) * SECOND))
            if moment > now
            else Settled(permit=permit, outcome=Outcome.ANSWERED, age=int((now - moment) * SECOND))
            for permit, moment in moments
            if moment > since
        ]
