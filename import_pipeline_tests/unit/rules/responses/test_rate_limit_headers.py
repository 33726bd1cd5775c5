"""Rate-limit headers of servers, as tables of cases."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.responses.limit_header_names import read_name
from import_pipeline.rules.responses.rate_limit_headers import (
    LimitStatus,
    answered_at,
    is_ours_right,
    is_rate_limited,
    limit_statuses,
    may_be_about_limits,
    names_limits,
    resource_of,
    retry_after,
    retry_wait,
    statuses_of_answer,
)
from import_pipeline.rules.responses.waits import LONGEST, read_wait

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
        ("7 seconds", seconds(7)),
        ("nan", None),
        ("1e3", None),
        ("99999999999999999999999", None),
        ("9" * 400, None),
        (str(32 * 86_400), None),  # longer than any quota lasts
        ("Tue, 01 Jan 2030 12:00:30 GMT", seconds(30)),
        ("Tuesday, 01-Jan-30 12:00:30 GMT", seconds(30)),  # obsolete, but to be read (RFC 9110, 5.6.7)
        ("Tue Jan  1 12:00:30 2030", seconds(30)),
        ("Tue, 01 Jan 2030 13:00:30 +0100", seconds(30)),
        ("Tue, 01 Jan 2030 11:59:00 GMT", seconds(-60)),
        ("Tue, 01 Jan 2999 12:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
        ("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
        ("Tue, 41 Jan 2030 12:00:00 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_retry_after(header: str | None, expected: timedelta | None) -> None:
    assert retry_after(header, now=NOW) == expected


def test_a_date_is_read_against_the_servers_own_clock() -> None:
    """The client's clock is an hour behind; the wait is half a minute all the same."""
    headers = httpx.Headers({"Date": "Tue, 01 Jan 2030 12:00:00 GMT", "Retry-After": "Tue, 01 Jan 2030 12:00:30 GMT"})
    assert retry_wait(headers, now=NOW - timedelta(hours=1)) == seconds(30)


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
        (str((EPOCH + 30) * 10**6), seconds(30)),
        (str((EPOCH + 30) * 10**9), seconds(30)),
        ("2030-01-01T12:00:30Z", seconds(30)),
        ("2030-01-01T12:00Z", seconds(0)),
        ("2030-01-01 12:00:30 UTC", seconds(30)),
        ("2030-01-01 13:00:30 +0100", seconds(30)),
        ("Tue, 01 Jan 2030 12:00:30 GMT", seconds(30)),
        ("6m0s", seconds(360)),
        ("9" * 300, None),
    ],
)
def test_a_reset_is_a_duration_or_a_moment(header: str | None, expected: timedelta | None) -> None:
    assert read_wait(header, now=NOW) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, []),
        ({"X-RateLimit-Limit": "a lot"}, []),
        (
            {"X-RateLimit-Limit": "500", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": str(EPOCH + 9)},
            [LimitStatus(limit=500, remaining=3, reset=seconds(9), is_moment=True)],
        ),
        ({"X-Rate-Limit-Limit": "500"}, [LimitStatus(limit=500)]),
        ({"X-RateLimit-Limit": "100, 100;w=60"}, [LimitStatus(limit=100)]),
        (
            {"RateLimit": '"burst";r=2;t=4', "RateLimit-Policy": '"burst";q=50;w=20, "day";q=1000;w=86400'},
            [
                LimitStatus(limit=50, remaining=2, reset=seconds(4), window=seconds(20)),
                LimitStatus(limit=1000, window=seconds(86400)),
            ],
        ),
        ({"RateLimit": '"only";r=0;t=4'}, [LimitStatus(remaining=0, reset=seconds(4))]),
        (
            {"RateLimit": "limit=100, remaining=50, reset=5", "RateLimit-Policy": "100;w=60"},
            [LimitStatus(limit=100, remaining=50, reset=seconds(5), window=seconds(60))],
        ),
        (
            {
                "RateLimit-Limit": "10",
                "RateLimit-Remaining": "1",
                "RateLimit-Reset": "7",
                "RateLimit-Policy": "10;w=1, 50;w=60",
            },
            [LimitStatus(limit=10, remaining=1, reset=seconds(7), window=seconds(1))],
        ),
        ({"RateLimit": ";;;=,,"}, []),
        ({"RateLimit": '"a";r=x;t=y'}, [LimitStatus()]),
        (
            {"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Remaining-Minute": "9", "X-RateLimit-Limit-Hour": "900"},
            [
                LimitStatus(limit=60, remaining=9, window=seconds(60)),
                LimitStatus(limit=900, window=seconds(3600)),
            ],
        ),
        (  # tokens: only the time until some come back; bucket: nothing per window
            {"x-ratelimit-limit-tokens": "9000", "x-ratelimit-reset-tokens": "500ms"},
            [LimitStatus(reset=seconds(0.5))],
        ),
        (
            {
                "X-RateLimit-Limit": "50",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-FillRate": "10",
                "X-RateLimit-Interval-Seconds": "5",
            },
            [LimitStatus(remaining=0, window=seconds(5))],
        ),
        ({"X-Shopify-Shop-Api-Call-Limit": "39/40"}, [LimitStatus(remaining=1)]),
        ({"X-Rate-Limit": "700", "X-Rate-Limit-Remaining": "699"}, [LimitStatus(limit=700, remaining=699)]),
        ({"X-RateLimit-NearLimit": "true"}, []),
    ],
)
def test_standings(headers: dict[str, str], expected: list[LimitStatus]) -> None:
    assert limit_statuses(httpx.Headers(headers), now=NOW) == expected


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {}, True),
        (503, {}, False),
        (503, {"Retry-After": "5"}, True),
        (403, {}, False),
        (403, {"X-RateLimit-Remaining": "0"}, True),
        (403, {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "9"}, False),
        (400, {"Retry-After": "5"}, False),
        (404, {"X-RateLimit-Remaining": "0"}, False),
        *((status, {"Retry-After": "5"}, True) for status in (403, 409, 420, 423, 430)),
        (425, {"Retry-After": "5"}, False),
        *((status, {}, False) for status in (409, 423, 425)),
        (403, {"retry-after-ms": "500"}, True),
        (200, {}, False),
    ],
)
def test_what_counts_as_a_refusal(status: int, headers: dict[str, str], expected: bool) -> None:
    assert is_rate_limited(status, httpx.Headers(headers), now=NOW) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "5", "X-RateLimit-Reset": "60"}, seconds(5)),
        ({"Retry-After": "soon", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, seconds(60)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 60)}, seconds(60)),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "60"}, None),  # a limit other than the named one refused
        ({"RateLimit": '"a";r=0;t=4, "b";r=9;t=99'}, seconds(4)),
        # a hint that makes no sense leaves the next-best one
        ({"Retry-After": "0", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, seconds(60)),
        ({"Retry-After": "inf", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}, seconds(60)),
        ({"Retry-After": "nan"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "Infinity"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH - 60)}, None),
        ({"Date": "Fri, 31 Dec 9999 23:59:59 GMT", "Retry-After": "Tue, 01 Jan 2030 12:00:30 GMT"}, None),
        # GitLab, Discord, Twitter, OpenAI, Anthropic, Azure, bucket4j, HubSpot, Jira, Shopify, Zendesk
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": str(EPOCH + 3)}, seconds(3)),
        ({"RateLimit-Remaining": "0", "RateLimit-ResetTime": "Tue, 01 Jan 2030 12:00:09 GMT"}, seconds(9)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((EPOCH + 30) * 10**6)}, seconds(30)),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "1.5", "X-RateLimit-Bucket": "abc"}, seconds(1.5)),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(EPOCH + 900)}, seconds(900)),
        ({"retry-after-ms": "1500", "retry-after": "2"}, seconds(2)),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, seconds(360)),
        (
            {
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1h2m3.5s",
            },
            seconds(3723.5),
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2030-01-01T12:00:20Z",
            },
            seconds(20),
        ),
        ({"x-ms-retry-after-ms": "250"}, seconds(0.25)),
        ({"X-Rate-Limit-Retry-After-Seconds": "12"}, seconds(12)),
        (
            {
                "X-HubSpot-RateLimit-Max": "100",
                "X-HubSpot-RateLimit-Remaining": "0",
                "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
                "X-HubSpot-RateLimit-Daily": "250000",
                "X-HubSpot-RateLimit-Daily-Remaining": "9",
            },
            seconds(10),
        ),
        (
            {
                "X-RateLimit-NearLimit": "true",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "2030-01-01T12:01Z",
                "Retry-After": "17",
            },
            seconds(17),
        ),
        ({"Retry-After": "2.0", "X-Shopify-Shop-Api-Call-Limit": "39/40"}, seconds(2)),
        ({"X-Rate-Limit": "700", "X-Rate-Limit-Remaining": "0", "ratelimit-reset": "41"}, seconds(41)),
    ],
)
def test_the_wait_after_a_refusal(headers: dict[str, str], expected: timedelta | None) -> None:
    assert retry_wait(httpx.Headers(headers), now=NOW) == expected


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


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ""),
        ({"X-RateLimit-Resource": " Search"}, "search"),
        ({"X-RateLimit-Bucket": "abcd1234"}, "abcd1234"),
        ({"X-RateLimit-Limit": "5"}, ""),
    ],
)
def test_the_resource_that_limits_are_of(headers, expected):
    assert resource_of(httpx.Headers(headers)) == expected


NAMES = st.one_of(
    st.sampled_from(
        ["Retry-After", "retry-after-ms", "Date", "RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Reset",
         "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Rate-Limit-Reset-After",
         "x-ratelimit-reset-tokens", "X-RateLimit-Interval-Seconds", "X-RateLimit-Limit-Minute",
         "X-Shopify-Shop-Api-Call-Limit", "X-RateLimit-Resource"]
    ),
    st.from_regex(r"\A(x-)?rate-?limit(-[a-z0-9]{1,12}){0,4}\Z"),
    st.text(max_size=100),
)  # fmt: skip
MOMENTS = st.builds(
    "{}, {} {} {} {}:00:00 {}".format,
    st.sampled_from(["Mon", "Sunday", "x"]),
    st.integers(-1, 10**20),
    st.sampled_from(["Jan", "Feb", "Foo"]),
    st.integers(0, 10**20),
    st.integers(0, 99),
    st.sampled_from(["GMT", "+0100", "-9999", "+99999999999999999999", "EST", ""]),
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.integers(10**8, 10**21).map(str),
    st.floats().map(str),
    st.sampled_from(["inf", "-inf", "nan", "1e999", "9" * 400, "-1", "0", "۴۲", "²"]),
)
TEXTS = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    NUMBERS,
    MOMENTS,
    st.datetimes().map(str),
    st.timedeltas().map(str),
    st.from_regex(r"\A(P?T?[0-9.]{1,30}(ms|s|m|h|D|W|M|S|H| )?){1,6}\Z"),
    st.from_regex(r'\A("?[a-z]"?;[rqtw]=[0-9a-z.]{1,20},? ?){1,4}\Z'),
    st.lists(NUMBERS, min_size=2, max_size=3).map(", ".join),
)


@given(
    headers=st.dictionaries(NAMES, TEXTS, max_size=8).map(
        lambda found: {name.lower(): text for name, text in found.items()}
    ),
    status=st.integers(100, 999),
    now=st.datetimes(timezones=st.just(UTC)),
)
def test_any_headers_are_read_without_an_error_and_within_bounds(headers, status, now):
    wait = retry_wait(headers, now=now)
    assert wait is None or timedelta(0) < wait <= LONGEST
    for each in statuses_of_answer(headers, now=now):
        assert each.limit is None or each.limit >= 0
        assert all(span is None or -LONGEST <= span <= LONGEST for span in (each.reset, each.window))
    assert is_rate_limited(status, headers, now=now) in (True, False)
    is_read = any(read_name(name) for name in headers) or "ratelimit" in headers
    assert names_limits(headers) <= is_read <= may_be_about_limits(name.encode() for name in headers)
    assert len(resource_of(headers)) <= 64


@given(seconds_ahead=st.integers(1, 30 * 86_400), unit=st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_a_moment_is_read_in_any_unit(seconds_ahead, unit):
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + seconds_ahead) * unit)}
    wait = retry_wait(headers, now=NOW)
    assert wait is not None
    assert wait.total_seconds() == pytest.approx(seconds_ahead, abs=0.001)
