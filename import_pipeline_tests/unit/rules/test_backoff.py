"""Delays between tries, and pauses after refusals."""

from datetime import timedelta

import pytest

from import_pipeline.rules.backoff import LONGEST_GUESS, pause_after, retry_delay

TABLE = (30.0, 60.0, 120.0, 240.0)


@pytest.mark.parametrize(
    ("failures", "backoff", "chance", "expected"),
    [
        (1, TABLE, 0.0, 30),
        (2, TABLE, 0.0, 60),
        (4, TABLE, 0.0, 240),
        (9, TABLE, 0.0, 240),
        (1, TABLE, 0.5, 31.5),
        (1, TABLE, 0.999, 32.997),
        (1, (0.0,), 0.5, 0),
        (1, (), 0.5, 0),
        (0, TABLE, 0.5, 0),
    ],
)
def test_the_table_decides_and_chance_only_adds(
    failures: int, backoff: tuple[float, ...], chance: float, expected: float
) -> None:
    assert retry_delay(failures, backoff, chance) == timedelta(seconds=expected)


@pytest.mark.parametrize(
    ("wait", "refusals", "chance", "expected"),
    [
        (7.0, 1, 0.9, 7),  # what the server says, to the letter
        (7.0, 5, 0.9, 7),
        (None, 1, 0.0, 1),  # nothing said: 1, 2, 4 ... 60 s, whatever is configured
        (None, 1, 1.0, 1.1),
        (None, 2, 0.0, 2),
        (None, 3, 0.0, 4),
        (None, 7, 0.0, 60),
        (None, 7, 1.0, 66),
        (0.0, 1, 0.0, 1),  # zero is no hint
        (0.0, 1, 0.5, 1.05),
        (0.0, 4, 0.0, 8),
        (-60.0, 1, 0.0, 1),
        (None, 50, 0.0, LONGEST_GUESS.total_seconds()),
    ],
)
def test_pauses(wait: float | None, refusals: int, chance: float, expected: float) -> None:
    asked = None if wait is None else timedelta(seconds=wait)
    assert pause_after(asked, refusals, chance=chance) == timedelta(seconds=expected)
