"""The reports of one process to the store: outcomes of permits and named limits, and when to send them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from import_pipeline.clock import Clock
from import_pipeline.ratelimit.algorithm.bucketed_window import is_bucketed
from import_pipeline.ratelimit.client.outbox import Outbox, SettledPermit
from import_pipeline.ratelimit.client.permit_history import PermitHistory
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import SECOND, AdvertisedLimit, ExchangeReply, Outcome, windows_of
from import_pipeline.ratelimit.tiers import Tiers

#: Seconds; answers are reported within a twentieth of the shortest window, since others wait for their units.
SOONEST_FLUSH, LATEST_FLUSH = 0.05, 0.25
FREE_HISTORY = 3600.0  #: seconds; without known limits, requests are remembered this long to infer some
MARGIN = 2.0  #: seconds in which a request may still arrive after its sender has given up


@dataclass(slots=True)
class Reports:
    """Collects reports in the outbox, and keeps the history that a store may have to be replayed.

    Without known limits, the store does not know of single permits (`reports_permits` is False), until a refusal or
    a named limit shows that there are some.
    """

    tiers: Tiers
    clock: Clock
    outbox: Outbox = field(default_factory=Outbox)
    reports_permits: bool = False
    _latest: ExchangeReply | None = None
    _flush_at: float = 0.0
    _flush: float = field(init=False)
    _history: PermitHistory = field(init=False)

    def __post_init__(self) -> None:
        tiers = self.tiers
        self.reports_permits = bool(tiers) or tiers.concurrent > 0
        windows = [tier.get_expiry() for tier in tiers]
        logged = [window / SECOND for amount, window in windows_of(tiers) if not is_bucketed(amount, window)]
        otherwise = 0.0 if self.reports_permits else FREE_HISTORY
        self._history = PermitHistory(max(logged, default=otherwise), max(windows, default=0.0))
        self._flush = max(SOONEST_FLUSH, min(LATEST_FLUSH, min(windows, default=0) / 20))

    @property
    def has_inferred_tiers(self) -> bool:
        """True if the store has inferred tiers."""
        return self._latest is not None and bool(self._latest.inferred_tiers)

    @property
    def due(self) -> float:
        """The moment at which the outbox should be sent; infinite if it can wait for the next exchange."""
        is_new = self.outbox.names_limits and not self.has_inferred_tiers
        return self._flush_at if self.outbox.settled or self.outbox.replayed or is_new else float("inf")

    def granted(self, permit: Permit) -> None:
        """Remember a permit whose request may be sent now."""
        self._history.granted(permit.name, permit.cost, permit.expires + MARGIN)

    def settle(
        self, permit: Permit, outcome: Outcome, moment: float, wait: float, *, is_guess: bool, is_waited_for: bool
    ) -> bool:
        """Put an outcome into the outbox; returns False if the store need not know.

        It is due immediately if it concerns all processes, or if it frees units that tasks wait for.
        """
        permit.settled = True
        if outcome is Outcome.ANSWERED or outcome is Outcome.CUT_OFF:
            self._history.answered(permit.name, permit.cost, moment)
        else:
            self._history.remove(permit.name)
        if outcome is Outcome.ANSWERED:
            self.outbox.add_latency(permit, moment)
        if outcome in (Outcome.REFUSED, Outcome.HELD):
            self._report_permits()
        if not self.reports_permits and not permit.shared:
            return False
        now = self.clock.monotonic()
        if not self.outbox.settled:
            self._flush_at = now + self._flush
        is_full = self.tiers.concurrent or (self._latest is not None and self._latest.inferred_concurrency)
        if outcome is not Outcome.ANSWERED or (is_full and is_waited_for):
            self._flush_at = now
        latency = max(0.0, moment - (permit.start if permit.sent is None else permit.sent))
        self.outbox.settled.append(SettledPermit(permit.name, permit.cost, outcome, moment, wait, is_guess, latency))
        return True

    def add_limits(self, limits: Sequence[AdvertisedLimit]) -> bool:
        """Add limits that an answer named just now, for an API without configured ones; returns True if they are due.

        They are due immediately if no tier of the API is known yet.
        """
        now = self.clock.monotonic()
        self.outbox.add_limits(limits, now)
        if self.has_inferred_tiers:
            return False
        self._report_permits()
        self._flush_at = now
        return True

    def take(self) -> Outbox:
        """Return the outbox to send, and begin a new one."""
        outbox, self.outbox = self.outbox, Outbox()
        return outbox

    def replay(self, *, with_buckets: bool) -> None:
        """Put the history into the outbox, for a store that lost its data."""
        now = self.clock.monotonic()
        self.outbox.replayed = self._history.replay(now)
        self.outbox.bucket_counts = self._history.replay_buckets(now) if with_buckets else []
        self._flush_at = 0.0

    def update(self, reply: ExchangeReply) -> None:
        """Take over a reply: without configured limits, it shows if the store has to know of every permit."""
        self._latest = reply
        if self.tiers or self.tiers.concurrent:
            return
        if reply.inferred_tiers or reply.inferred_concurrency or reply.pause or reply.probing:
            self._report_permits()
        elif not self.outbox:
            self.reports_permits = False

    def tidy(self) -> None:
        """Drop permits from the history that no longer occupy units."""
        self._history.tidy(self.clock.monotonic())

    def _report_permits(self) -> None:
        """Let the store know of every permit from now on, beginning with the recent ones."""
        if not self.reports_permits:
            self.reports_permits = True
            self.outbox.replayed = self._history.replay(self.clock.monotonic())
