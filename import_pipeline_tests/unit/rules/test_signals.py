"""What servers say about their limits, as tables of cases."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from import_pipeline.rules.signals import (
    LONGEST,
    Standing,
    answered_at,
    is_ours_right,
    is_refusal,
    part_of,
    reset_in,
    retry_after,
    standings,
    used_of,
    wait_asked_for,
)

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("7", seconds(7)),
        (" 7 ", seconds(7)),
        ("1.5", seconds(1.5)),
        ("0", seconds(0)),
        ("-3", seconds(-3)),
        ("soon", None),
        ("7 seconds", None),
        ("nan", None),
        ("1e3", None),
        ("99999999999999999999999", LONGEST),
        ("9" * 400, LONGEST),
        ("Tue, 01 Jan 2030 12:00:30 GMT", seconds(30)),
        ("Tuesday, 01-Jan-30 12:00:30 GMT", seconds(30)),  # obsolete, but to be read (RFC 9110, 5.6.7)
        ("Tue Jan  1 12:00:30 2030", seconds(30)),
        ("Tue, 01 Jan 2030 13:00:30 +0100", seconds(30)),
        ("Tue, 01 Jan 2030 11:59:00 GMT", seconds(-60)),
        ("Tue, 01 Jan 2999 12:00:00 GMT", LONGEST),
        ("Tue, 41 Jan 2030 12:00:00 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_retry_after(header: str | None, expected: timedelta | None) -> None:
    assert retry_after(header, now=NOW) == expected


def test_a_date_is_read_against_the_servers_own_clock() -> None:
    """The client's clock is an hour behind; the wait is half a minute all the same."""
    headers = httpx.Headers({"Date": "Tue, 01 Jan 2030 12:00:00 GMT", "Retry-After": "Tue, 01 Jan 2030 12:00:30 GMT"})
    assert wait_asked_for(headers, now=NOW - timedelta(hours=1)) == seconds(30)


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_without_a_date_the_clients_clock_has_to_do(date: str | None) -> None:
    assert answered_at({"date": date} if date else {}, otherwise=NOW) == NOW


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("soon", None),
        ("30", seconds(30)),
        ("0", seconds(0)),
        (str(EPOCH + 30), seconds(30)),
        (str(EPOCH - 30), seconds(-30)),
        (f"{EPOCH + 30}.5", seconds(30.5)),
        (str((EPOCH + 30) * 1000), seconds(30)),
        ("9" * 300, LONGEST),
    ],
)
def test_a_reset_is_a_duration_or_a_moment(header: str | None, expected: timedelta | None) -> None:
    assert reset_in(header, now=NOW) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, []),
        ({"X-RateLimit-Limit": "a lot"}, []),
        (
            {"X-RateLimit-Limit": "500", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": str(EPOCH + 9)},
            [Standing(limit=500, remaining=3, reset=seconds(9), is_moment=True)],
        ),
        ({"X-Rate-Limit-Limit": "500"}, [Standing(limit=500)]),
        ({"X-RateLimit-Limit": "100, 100;w=60"}, [Standing(limit=100)]),
        (
            {"RateLimit": '"burst";r=2;t=4', "RateLimit-Policy": '"burst";q=50;w=20, "day";q=1000;w=86400'},
            [
                Standing(limit=50, remaining=2, reset=seconds(4), window=seconds(20)),
                Standing(limit=1000, window=seconds(86400)),
            ],
        ),
        ({"RateLimit": '"only";r=0;t=4'}, [Standing(remaining=0, reset=seconds(4))]),
        (
            {"RateLimit": "limit=100, remaining=50, reset=5", "RateLimit-Policy": "100;w=60"},
            [Standing(limit=100, remaining=50, reset=seconds(5), window=seconds(60))],
        ),
        (
            {
                "RateLimit-Limit": "10",
                "RateLimit-Remaining": "1",
                "RateLimit-Reset": "7",
                "RateLimit-Policy": "10;w=1, 50;w=60",
            },
            [Standing(limit=10, remaining=1, reset=seconds(7), window=seconds(1))],
        ),
        ({"RateLimit": ";;;=,,"}, []),
        ({"RateLimit": '"a";r=x;t=y'}, [Standing()]),
    ],
)
def test_standings(headers: dict[str, str], expected: list[Standing]) -> None:
    assert standings(httpx.Headers(headers), now=NOW) == expected


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {}, True),
        (503, {}, False),
        (503, {"Retry-After": "5"}, True),
        (403, {"Retry-After": "5"}, False),
        (200, {}, False),
    ],
)
def test_what_counts_as_a_refusal(status: int, headers: dict[str, str], expected: bool) -> None:
    assert is_refusal(status, httpx.Headers(headers)) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "5", "X-RateLimit-Reset": "60"}, seconds(5)),
        ({"Retry-After": "soon", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, seconds(60)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 60)}, seconds(60)),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "60"}, None),  # another limit refused than the one told
        ({"RateLimit": '"a";r=0;t=4, "b";r=9;t=99'}, seconds(4)),
    ],
)
def test_the_wait_after_a_refusal(headers: dict[str, str], expected: timedelta | None) -> None:
    assert wait_asked_for(httpx.Headers(headers), now=NOW) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], None),
        ([Standing(remaining=3)], None),
        ([Standing(limit=0)], None),
        ([Standing(limit=50)], 1.0),
        ([Standing(limit=40)], 0.8),
        ([Standing(limit=160)], 0.8),
        ([Standing(limit=25)], 0.5),
        ([Standing(limit=100)], 0.5),  # as near to 50 as to 200
        ([Standing(limit=60)], 1.0),  # more than ours in the nearest tier
        ([Standing(limit=5000)], 1.0),
        ([Standing(limit=40), Standing(limit=100)], 0.5),
        ([Standing(limit=100, reset=seconds(3))], 1.0),  # the shortest that lasts until then, however it was rounded
        ([Standing(limit=100, reset=seconds(3.5))], 0.5),
        ([Standing(limit=160, reset=seconds(11))], 0.8),
        ([Standing(limit=160, reset=seconds(60))], 0.8),  # no tier of ours: the nearest
        ([Standing(limit=160, reset=seconds(0))], 0.8),
        ([Standing(limit=30, window=seconds(10))], 0.15),  # the window decides
        ([Standing(limit=30, window=seconds(3600))], None),  # of a tier that we do not have
    ],
)
def test_what_part_of_our_tiers_a_server_tells(told: list[Standing], expected: float | None) -> None:
    assert part_of(told, [(50, 2), (200, 10)]) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([Standing(limit=50, remaining=20)], {0: 30}),
        ([Standing(limit=200, remaining=0), Standing(limit=50, remaining=50)], {0: 0, 1: 200}),
        ([Standing(limit=50)], {}),
        ([Standing(limit=60, remaining=1)], {}),  # no tier of ours
        ([Standing(limit=50, remaining=60)], {0: 0}),
        ([Standing(limit=50, remaining=1, window=seconds(60))], {}),
        ([Standing(limit=50, remaining=1, window=seconds(2))], {0: 49}),
    ],
)
def test_what_a_server_counts_in_our_tiers(told: list[Standing], expected: dict[int, int]) -> None:
    assert used_of(told, [(50, 2), (200, 10)]) == expected


@pytest.mark.parametrize(
    ("seconds_after_date", "right"),
    [(-30, False), (-0.2, False), (-0.05, True), (0, True), (0.999, True), (2.05, True), (2.2, False), (30, False)],
)
def test_our_clock_is_taken_where_date_is_what_a_server_of_our_time_writes(seconds_after_date, right):
    headers = {"date": format_datetime(NOW.replace(microsecond=0), usegmt=True)}
    ours = NOW.replace(microsecond=0) + timedelta(seconds=seconds_after_date)
    assert is_ours_right(headers, now=ours) is right


def test_without_a_date_there_is_no_clock_but_ours():
    assert is_ours_right({}, now=NOW)
