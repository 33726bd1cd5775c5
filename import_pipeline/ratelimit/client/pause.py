"""The shared pause as one process knows it, and the time in which requests need no permit."""

from dataclasses import dataclass
from datetime import timedelta

from import_pipeline.clock import Clock, Random
from import_pipeline.errors import ApiBlocked
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import SECOND, ExchangeReply
from import_pipeline.rules.backoff import pause_after

#: Without limits every request is free. The absence of a pause is believed for this many seconds.
FREE_FOR = 1.0


@dataclass(slots=True)
class Pause:
    """The pause of one API. Moments are seconds on the clock's monotonic time.

    `patience`: a longer pause is an ApiBlocked error instead of a wait; None waits for any.
    `shortest`: the pause after a first refusal without a hint.
    """

    api: str
    clock: Clock
    chance: Random
    patience: timedelta | None
    shortest: timedelta
    until: float = 0.0
    free_until: float = 0.0
    number: int = 0  #: pauses of this process so far
    _refusals: int = 0  #: in a row

    @property
    def is_over(self) -> bool:
        """True if requests may start."""
        return self.clock.monotonic() >= self.until

    @property
    def is_free(self) -> bool:
        """True if requests need no permit, because no limits are known."""
        return self.clock.monotonic() < self.free_until

    def blocked(self) -> ApiBlocked | None:
        """Return the error for a pause beyond the patience; None if it is within."""
        return self._beyond_patience(self.until - self.clock.monotonic())

    def answered(self, permit: Permit) -> None:
        """Start counting refusals anew, unless the request was in flight when a pause began."""
        if permit.pauses == self.number:
            self._refusals = 0

    def refused(self, wait: timedelta | None) -> tuple[float, bool]:
        """Begin or extend the pause; returns its seconds from now, and if this is the first refusal.

        Requests in flight when a pause began are no further refusals.
        """
        now = self.clock.monotonic()
        is_first = now >= self.until
        self._refusals += is_first
        self.number += is_first
        seconds = pause_after(wait, self._refusals, first=self.shortest, chance=self.chance()).total_seconds()
        self.free_until = 0.0
        self.until = max(self.until, now + seconds)
        return seconds, is_first

    def update(self, reply: ExchangeReply, *, is_free: bool, holds_refusal: bool) -> ApiBlocked | None:
        """Take over the store's pause; returns the error for waiting tasks if it is beyond the patience.

        With `holds_refusal`, the store does not know of our last refusal yet, so it cannot end the pause.
        """
        now = self.clock.monotonic()
        self.free_until = now + FREE_FOR if is_free else 0.0
        if not holds_refusal:
            self.until = now + reply.pause / SECOND
        elif reply.pause:
            self.until = max(self.until, now + reply.pause / SECOND)
        return self._beyond_patience(reply.pause / SECOND)

    def _beyond_patience(self, seconds: float) -> ApiBlocked | None:
        if self.patience is None or seconds <= self.patience.total_seconds():
            return None
        return ApiBlocked(self.api, self.clock.now() + timedelta(seconds=seconds))
