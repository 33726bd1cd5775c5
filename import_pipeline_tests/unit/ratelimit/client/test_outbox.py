"""What a process has to tell, and keeps when the store could not be told."""

from import_pipeline.ratelimit.client.outbox import Answered, Outbox
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


def test_what_could_not_be_told_is_told_before_what_came_since() -> None:
    again, counted = Settlement(permit="p1", outcome=Outcome.FLYING, wait=SECOND), BucketCount(places=3, age=0)
    untold = Outbox(settled=[Answered("p2", 1, Outcome.ANSWERED, 1.0)], again=[again], counted_again=[counted])
    untold.named([AdvertisedLimit(limit=5, used=4, reset=SECOND), AdvertisedLimit(limit=9, used=4, reset=SECOND)], 1.0)
    untold.told_part(400_000)
    untold.took(Permit("p2", start=0.0, expires=9.0, sent=0.5), 1.0)
    news = Outbox(settled=[Answered("p1", 1, Outcome.ANSWERED, 2.0)])
    news.named([AdvertisedLimit(limit=5, used=5, reset=SECOND)], 2.0)
    news.told_part(600_000)
    news.put_back(untold)
    assert news.added_to(ASK, 3.0) == ExchangeRequest(
        api="x",
        process="1",
        tiers=(),
        settled=(
            again,
            Settlement(permit="p2", outcome=Outcome.ANSWERED, age=2 * SECOND),
            Settlement(permit="p1", outcome=Outcome.ANSWERED, age=SECOND),
        ),
        counted=(counted,),
        named=(
            AdvertisedLimit(limit=5, used=5, reset=SECOND, age=SECOND),
            AdvertisedLimit(limit=9, used=4, reset=SECOND, age=2 * SECOND),
        ),
        told=400_000,
        delays=LatencySummary(),
    )


def test_places_of_long_tiers_are_told_as_they_were_last_counted_and_once() -> None:
    """The store adds them up. It may ask for them while a step fails that has others to tell, or none."""
    first, last = BucketCount(places=3, age=0), BucketCount(places=4, age=0)
    for untold in (Outbox(), Outbox(counted_again=[first])):
        news = Outbox(counted_again=[last])
        news.put_back(untold)
        assert news.counted_again == [last]


def test_a_limit_of_two_windows_is_told_with_both() -> None:
    """A hundred a second, and a hundred a day."""
    news = Outbox()
    limits = [AdvertisedLimit(limit=100, used=1, reset=0, window=window * SECOND) for window in (86_400, 1)]
    news.named(limits, 1.0)
    assert news.added_to(ASK, 1.0).named == tuple(limits)
