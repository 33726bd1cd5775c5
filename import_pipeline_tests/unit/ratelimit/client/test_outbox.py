"""The outbox of a process, also after the store did not answer."""

from import_pipeline.ratelimit.client.outbox import Outbox, SettledPermit
from import_pipeline.ratelimit.client.wait_queue import Permit
from import_pipeline.ratelimit.protocol import (
    SECOND,
    AdvertisedLimit,
    BucketCount,
    ExchangeRequest,
    LatencySummary,
    Outcome,
    Settlement,
)

ASK = ExchangeRequest(api="x", process="1", tiers=())


def test_unsent_reports_come_before_newer_ones() -> None:
    replayed, bucket_counts = (
        Settlement(permit="p1", outcome=Outcome.IN_FLIGHT, wait=SECOND),
        BucketCount(units=3, age=0),
    )
    unsent = Outbox(
        settled=[SettledPermit("p2", 1, Outcome.ANSWERED, 1.0)], replayed=[replayed], bucket_counts=[bucket_counts]
    )
    unsent.add_limits(
        [AdvertisedLimit(limit=5, used=4, reset=SECOND), AdvertisedLimit(limit=9, used=4, reset=SECOND)], 1.0
    )
    unsent.add_fraction(400_000)
    unsent.add_latency(Permit("p2", start=0.0, expires=9.0, sent=0.5), 1.0)
    outbox = Outbox(settled=[SettledPermit("p1", 1, Outcome.ANSWERED, 2.0)])
    outbox.add_limits([AdvertisedLimit(limit=5, used=5, reset=SECOND)], 2.0)
    outbox.add_fraction(600_000)
    outbox.put_back(unsent)
    assert outbox.added_to(ASK, 3.0) == ExchangeRequest(
        api="x",
        process="1",
        tiers=(),
        settled=(
            replayed,
            Settlement(permit="p2", outcome=Outcome.ANSWERED, age=2 * SECOND),
            Settlement(permit="p1", outcome=Outcome.ANSWERED, age=SECOND),
        ),
        bucket_counts=(bucket_counts,),
        advertised_limits=(
            AdvertisedLimit(limit=5, used=5, reset=SECOND, age=SECOND),
            AdvertisedLimit(limit=9, used=4, reset=SECOND, age=2 * SECOND),
        ),
        advertised_fraction=400_000,
        latencies=LatencySummary(),
    )


def test_units_of_long_tiers_are_replayed_once_as_last_counted() -> None:
    """The store adds them up, and may request them while a step fails that reports others, or none."""
    first, last = BucketCount(units=3, age=0), BucketCount(units=4, age=0)
    for unsent in (Outbox(), Outbox(bucket_counts=[first])):
        outbox = Outbox(bucket_counts=[last])
        outbox.put_back(unsent)
        assert outbox.bucket_counts == [last]


def test_a_limit_with_two_windows_is_reported_with_both() -> None:
    """A hundred a second, and a hundred a day."""
    outbox = Outbox()
    limits = [AdvertisedLimit(limit=100, used=1, reset=0, window=window * SECOND) for window in (86_400, 1)]
    outbox.add_limits(limits, 1.0)
    assert outbox.added_to(ASK, 1.0).advertised_limits == tuple(limits)
