"""Lanes: kinds of requests of one API that a server may limit separately.

A request of a lane takes a permit of the lane and one of the whole API. The limits of a lane are inferred from its own
refusals, so that those of the list do not slow down the details. A pause holds for all.
"""

from datetime import timedelta

from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.limiter import Limiter

LISTS = "lists"


class Lanes:
    """The limiter of an API and that of the lane of `first` requests, if there is one; both settle together."""

    def __init__(self, limiter: Limiter, first: Limiter | None) -> None:
        self.limiter, self._first = limiter, first
        self._others_refused = False  #: since the lane was

    async def acquire(self, deadline: float, cost: int, *, first: bool) -> Permit:
        """Return a permit of the API, after one of the lane if the request belongs to it. Raises as `Limiter` does."""
        if not first or self._first is None:
            return await self.limiter.acquire(deadline, first=first, cost=cost)
        of_lane = await self._first.acquire(deadline)
        try:
            permit = await self.limiter.acquire(deadline, first=True, cost=cost)
        except BaseException:
            self._first.unused(of_lane)
            raise
        permit.of_lane = of_lane
        return permit

    def answered(self, permit: Permit, at: float) -> None:
        """Settle a permit whose request was answered at that moment."""
        self.limiter.answered(permit, at)
        if self._first is not None and permit.of_lane is not None:
            self._first.answered(permit.of_lane, at)

    def unused(self, permit: Permit) -> None:
        """Settle a permit without a request."""
        self.limiter.unused(permit)
        if self._first is not None and permit.of_lane is not None:
            self._first.unused(permit.of_lane)

    def cut_off(self, permit: Permit) -> None:
        """Settle a permit whose connection the other side closed before an answer."""
        self.limiter.cut_off(permit)
        if self._first is not None and permit.of_lane is not None:
            self._first.cut_off(permit.of_lane)

    def refused(self, permit: Permit, wait: timedelta | None) -> None:
        """Pause all processes. The refusal lowers the lane's limits alone, unless other requests are refused, too."""
        if self._first is None or permit.of_lane is None:
            self._others_refused = True
            self.limiter.refused(permit, wait)
            return
        permit.of_lane.sent = permit.sent
        self.limiter.refused(permit, wait, teaches=self._others_refused)
        if self._others_refused:
            self._first.unused(permit.of_lane)
        else:
            self._first.refused(permit.of_lane, wait)
        self._others_refused = False
