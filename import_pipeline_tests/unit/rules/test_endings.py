"""Errors, and how each of them ends the work on an import."""

import asyncio
from datetime import UTC, datetime

import pytest

from import_pipeline import errors
from import_pipeline.rules.endings import (
    BrokeOff,
    Cancelled,
    DatabaseAway,
    Failed,
    Interrupted,
    OwnershipLost,
    Paused,
    StoreAway,
    ending_of,
)

TEN = datetime(2026, 8, 1, 10, tzinfo=UTC)
ENDINGS = [
    (errors.ImportFailed("the API is away"), Failed),
    (errors.OtherOrigin("a request would go elsewhere"), Failed),
    (errors.SettingError("ITEMS_TOKEN", "a token", "nothing"), Failed),
    (errors.LimiterUnavailable("no answer"), StoreAway),
    (errors.ImportInterrupted("the process was stopped"), Interrupted),
    (KeyboardInterrupt(), Interrupted),
    (asyncio.CancelledError(), Interrupted),
    (errors.LeaseLost("taken over"), OwnershipLost),
    (errors.DatabaseUnavailable("away"), DatabaseAway),
    (errors.HeartbeatFailed("the heartbeat failed"), BrokeOff),
    (errors.ItemRejected("404"), BrokeOff),
    (ZeroDivisionError(), BrokeOff),
    (SystemExit(1), BrokeOff),
]


@pytest.mark.parametrize(("error", "ending"), ENDINGS, ids=[type(error).__name__ for error, _ in ENDINGS])
def test_an_error_means_one_ending_and_stays_with_it(error, ending):
    assert ending_of(error) == ending(error)


def test_a_cancelled_or_paused_import_keeps_what_is_recorded_of_the_error():
    assert ending_of(errors.ImportCancelled("cancelled by Ada")) == Cancelled("cancelled by Ada")
    blocked = errors.ApiBlocked("demo", TEN)
    assert ending_of(blocked) == Paused(TEN, str(blocked))
    assert Failed(errors.ImportFailed("the API is away")).reason == "the API is away"
