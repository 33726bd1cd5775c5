"""Times, durations and numbers as people read them."""

from datetime import UTC, datetime

import pytest

from import_pipeline import wording
from import_pipeline.panel import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (4.24, "4.2 s"),
        (9.96, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (400_000, "4 d 15 h"),
    ],
)
def test_a_duration(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.2, "now"),
        (1, "in 1 s"),
        (-3, "3 s ago"),
        (7200, "in 2 h"),
        (-90, "2 min ago"),
        (-44 * 60, "44 min ago"),
        (3599.6, "in 1 h"),
        (-86_400, "24 h ago"),
        (400_000, "in 5 d"),
    ],
)
def test_a_moment_seen_from_now(seconds, text):
    assert formatting.relative(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, formatting.NOTHING), (0, "0 %"), (0.9, "0 %"), (41.5, "41 %"), (99.99, "99 %"), (100.0, "100 %")],
)
def test_per_cent_are_never_100_before_all_is_done(value, text):
    assert formatting.percent(value) == text


def test_the_other_words():
    assert formatting.moment(datetime(2030, 1, 31, 9, tzinfo=UTC)) == "2030-01-31 09:00:00 UTC"
    assert formatting.moment(None) == formatting.NOTHING
    assert [formatting.number(each) for each in (None, 0, 12345)] == [formatting.NOTHING, "0", "12,345"]
    assert [wording.plural(each, "item") for each in (0, 1, 2000)] == ["0 items", "1 item", "2,000 items"]
    assert wording.plural(2, "retry", "retries") == "2 retries"
    assert [formatting.window(each) for each in (20, 60, 90, 3600, 86_400)] == ["20 s", "1 min", "90 s", "1 h", "1 d"]
