"""Tiers: what is read, what binds, what is refused."""

import pytest
from limits import parse_many

from import_pipeline.errors import SettingError
from import_pipeline.ratelimit import parse_tiers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  ", ""),
        ("500/20 second", "500/20 second"),
        ("2000/100 second; 500/20 second", "500/20 second; 2000/100 second"),
        ("500 per 20 seconds, 2000 per 100 seconds;", "500/20 second; 2000/100 second"),
        ("5/1 second; 5/1 second", "5/1 second"),
        ("5/1 second; 7/1 second", "5/1 second"),  # more in the same window
        ("5/1 minute; 7/1 second", "5/1 minute"),  # more in a shorter window
        ("5/60 second; 9/1 minute", "5/60 second"),
        # Ten windows of ten make the hundred, but other users of the api may have wider limits.
        ("10/10 second; 100/100 second", "10/10 second; 100/100 second"),
    ],
)
def test_the_tiers_that_bind(text: str, expected: str) -> None:
    assert parse_tiers(text) == tuple(parse_many(expected) if expected else ())


@pytest.mark.parametrize(
    ("text", "tiers", "concurrent"),
    [
        ("20 concurrent", "", 20),
        ("500/20 second; 20 concurrent", "500/20 second", 20),
        ("20 Concurrent, 5/second|7 concurrent", "5/second", 7),
        ("5/second", "5/second", 0),
    ],
)
def test_requests_in_flight_are_a_tier_too(text: str, tiers: str, concurrent: int) -> None:
    read = parse_tiers(text)
    assert (read, read.concurrent) == (tuple(parse_many(tiers) if tiers else ()), concurrent)


@pytest.mark.parametrize(
    "text",
    [
        "0 concurrent",
        "-1 concurrent",
        "concurrent",
        "2.5 concurrent",
        ";",
        "500",
        "500/20",
        "500/20 fortnights",
        "0/1 second",
        "5/1 second; nothing",
        "-1/second",
    ],
)
def test_what_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_tiers(text, "ITEMS_LIMITS")
    assert caught.value.name == "ITEMS_LIMITS"
    assert repr(text) in str(caught.value)
