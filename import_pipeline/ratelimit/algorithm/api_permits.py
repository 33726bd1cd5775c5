"""The permits of one api within a step of its store: stamps, those in flight, and the counts of long tiers."""

from collections.abc import Sequence

from import_pipeline.ratelimit.algorithm import bucketed_window
from import_pipeline.ratelimit.algorithm.state import ApiState
from import_pipeline.ratelimit.algorithm.window_log import WindowLog, places


class ApiPermits:
    """What is known of an api's permits: stamps, those in flight, and the counts of long tiers."""

    def __init__(self, shared: ApiState, stamps: WindowLog, flying: WindowLog) -> None:
        self.shared, self.stamps, self.flying = shared, stamps, flying
        self._long: list[int] = []

    def use(self, tiers: Sequence[tuple[int, int]]) -> None:
        """Count in these tiers' windows from now on."""
        self._long = sorted({window for amount, window in tiers if bucketed_window.is_bucketed(amount, window)})

    def put(self, permit: str, cost: int, moment: int) -> None:
        """Let a permit's places be taken at a moment, or move them there."""
        for place in places(permit, cost):
            self._leave(place)
            self.stamps.put(place, moment)
            for window in self._long:
                bucketed_window.add(self.shared.counts, window, moment, 1)

    def remove(self, permit: str, cost: int) -> None:
        """Let a permit's places be free."""
        for place in places(permit, cost):
            self._leave(place)
            self.stamps.remove(place)

    def taken(self, amount: int, window: int, since: int) -> int:
        """How many places of a tier are taken, of those later than a moment where it tells moments apart."""
        if bucketed_window.is_bucketed(amount, window):
            return bucketed_window.taken(self.shared.counts, window)
        return self.stamps.later_than(since)

    def _leave(self, place: str) -> None:
        if self._long and (moment := self.stamps.moment(place)) is not None:
            for window in self._long:
                bucketed_window.add(self.shared.counts, window, moment, -1)
