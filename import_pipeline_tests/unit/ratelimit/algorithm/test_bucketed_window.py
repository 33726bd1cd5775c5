"""Long tiers: counted in hundredths of their window."""

import pytest

from import_pipeline.ratelimit.algorithm.bucketed_window import (
    DAY,
    Counts,
    add,
    first_free,
    forget,
    is_bucketed,
    taken,
    unit_starts,
)
from import_pipeline.ratelimit.protocol import (
    SECOND,
    ExchangeReply,
    ExchangeRequest,
    Outcome,
    PermitRequest,
    Settlement,
)
from import_pipeline_tests.support.limiter_stories import FakeTimeMemory, VirtualTime

MONTH = 30 * DAY


@pytest.mark.parametrize(
    ("amount", "window", "expected"),
    [
        (5_000, 3_600 * SECOND, False),
        (20_000, 3_600 * SECOND, True),  # that many stamps would be kept
        (20_000, 100 * SECOND, False),
        (100, DAY, True),
        (1_000_000, MONTH, True),
    ],
)
def test_what_is_long(amount: int, window: int, expected: bool) -> None:
    assert is_bucketed(amount, window) is expected


def test_a_place_is_free_when_its_whole_hundredth_has_left_the_window() -> None:
    counts: Counts = {}
    for hour in (1, 1, 5):
        add(counts, DAY, hour * DAY // 24, 1)
    assert (taken(counts, DAY), first_free(counts, DAY)) == (3, DAY + 5 * DAY // 100)  # 1 h is in the fifth of 14.4 min
    later = DAY + 21 * DAY // 100  # 5 h is in the twenty-first
    assert list(unit_starts(counts, 4, DAY, 4, 6 * DAY // 24)) == [
        6 * DAY // 24,
        DAY + DAY // 20,
        DAY + DAY // 20,
        later,
    ]
    forget(counts, DAY + DAY // 20)
    assert taken(counts, DAY) == 1


def test_what_is_given_back_is_not_counted() -> None:
    counts: Counts = {}
    add(counts, DAY, 5, 2)
    add(counts, DAY, 6, -1)
    add(counts, DAY, 7, -1)
    add(counts, DAY, DAY, -1)
    assert (taken(counts, DAY), first_free(counts, DAY)) == (0, None)


def test_the_requests_of_a_month_are_kept_in_a_hundred_numbers_and_never_exceed_it() -> None:
    """Two months of forty requests each hour: 57,600 in all, of 20,000 a month."""
    time = VirtualTime()
    store = FakeTimeMemory(time)
    tiers = ((2_000, 60 * SECOND), (20_000, MONTH))
    granted: list[tuple[int, int]] = []
    for turn in range(60 * 24):
        time.now += 3_600 * SECOND
        names = [f"{turn}.{number}" for number in range(40)]
        wanted = tuple(PermitRequest(permit=name, lifetime=30 * SECOND) for name in names)
        result = store.exchange(ExchangeRequest(api="x", process="1", tiers=tiers, wanted=wanted, count_units=True))
        granted.append((time.now, len(result.starts)))
        settled = tuple(Settlement(permit=name, outcome=Outcome.ANSWERED) for name in names[: len(result.starts)])
        store.exchange(ExchangeRequest(api="x", process="1", tiers=tiers, settled=settled))
    shared, stamps, _ = store._apis["x"]
    assert len(shared.bucket_counts[str(MONTH)]) <= 102
    assert stamps.later_than(0) <= 40
    within = [sum(n for at, n in granted if since < at <= since + MONTH) for since, _ in granted]
    assert max(within) == 20_000
    assert sum(n for _, n in granted) == 40_000


def test_the_counts_are_replayed_to_an_emptied_store() -> None:
    """Places that only the day counts any more are not remembered one by one, but their number is."""
    time = VirtualTime()
    store = FakeTimeMemory(time)

    def ask(**options: object) -> ExchangeReply:
        return store.exchange(ExchangeRequest(api="x", process="1", tiers=((5, DAY),), count_units=True, **options))  # type: ignore[arg-type]

    ask(wanted=(PermitRequest(permit="a", lifetime=SECOND),))
    store.forget()
    time.now += SECOND
    result = ask()
    assert (result.lost, result.emptied, result.used) == (True, True, (0,))
