"""Limits and usage that the server's headers name, reported to the store."""

from collections.abc import Sequence
from datetime import timedelta

from import_pipeline.ratelimit.client.dispatcher import Dispatcher
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import SECOND, AdvertisedLimit
from import_pipeline.ratelimit.tiers import Tiers
from import_pipeline.ratelimit.usage import MILLION
from import_pipeline.rules.responses.advertised_limits import Advertised
from import_pipeline.rules.responses.rate_limit_headers import LimitStatus, usable_limits

MICROSECOND = timedelta(microseconds=1)


class LimitReports:
    """Compares the limits in answers with the configured tiers, and puts what follows into the outbox."""

    def __init__(self, tiers: Tiers, dispatcher: Dispatcher) -> None:
        self._tiers, self._dispatcher = tiers, dispatcher
        self._advertised = Advertised([(tier.amount, tier.get_expiry()) for tier in tiers])

    def add(self, statuses: Sequence[LimitStatus], permit: Permit, *, kind: str, refused: bool) -> None:
        """Report the limits in the answer to a permit's request of that kind; an empty list counts, too."""
        findings = self._advertised.update(kind, statuses)
        millionths = 0 if findings.fraction is None else max(1, min(MILLION, int(findings.fraction * MILLION)))
        if millionths or findings.refuted:
            self._dispatcher.reports.outbox.add_fraction(millionths, findings.refuted)
        sent = permit.start if permit.sent is None else permit.sent
        if self._tiers:
            for tier, used in self._advertised.used(findings.holding).items():
                self._dispatcher.reports.outbox.add_usage(tier, used, sent)
            return
        if not findings.holding:
            return
        latency = int((self._dispatcher.clock.monotonic() - sent) * SECOND)
        usable = usable_limits(findings.holding, refused=refused, is_known=self._dispatcher.reports.has_inferred_tiers)
        limits = [
            AdvertisedLimit(
                limit=each.limit,
                used=each.used,
                reset=max(0, each.reset // MICROSECOND),
                window=max(0, each.window // MICROSECOND),
                latency=latency,
            )
            for each in usable
        ]
        if limits:
            self._dispatcher.add_limits(limits)
