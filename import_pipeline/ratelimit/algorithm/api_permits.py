"""The permits of one API during a step of its store: the window log, requests in flight, and bucket counts."""

from collections.abc import Sequence

from import_pipeline.ratelimit.algorithm import bucketed_window
from import_pipeline.ratelimit.algorithm.state import ApiState
from import_pipeline.ratelimit.algorithm.window_log import WindowLog, units


class ApiPermits:
    """The known permits of one API. `in_flight` is a log of its own, used only if the concurrency is limited."""

    def __init__(self, state: ApiState, log: WindowLog, in_flight: WindowLog) -> None:
        self.state, self.log, self.in_flight = state, log, in_flight
        self._bucketed: list[int] = []

    def use(self, tiers: Sequence[tuple[int, int]]) -> None:
        """Count in the windows of these tiers from now on."""
        self._bucketed = sorted({window for amount, window in tiers if bucketed_window.is_bucketed(amount, window)})

    def put(self, permit: str, cost: int, moment: int) -> None:
        """Count a permit's units at a moment, or move them there."""
        for unit in units(permit, cost):
            self._leave_bucket(unit)
            self.log.put(unit, moment)
            for window in self._bucketed:
                bucketed_window.add(self.state.bucket_counts, window, moment, 1)

    def remove(self, permit: str, cost: int) -> None:
        """Free a permit's units."""
        for unit in units(permit, cost):
            self._leave_bucket(unit)
            self.log.remove(unit)

    def taken(self, amount: int, window: int, since: int) -> int:
        """Return the units taken in a tier since a moment; in a bucketed tier, since its window began."""
        if bucketed_window.is_bucketed(amount, window):
            return bucketed_window.taken(self.state.bucket_counts, window)
        return self.log.later_than(since)

    def _leave_bucket(self, unit: str) -> None:
        if self._bucketed and (moment := self.log.moment(unit)) is not None:
            for window in self._bucketed:
                bucketed_window.add(self.state.bucket_counts, window, moment, -1)
