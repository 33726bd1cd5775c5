"""Retries of a unit of work: their waits and their end."""

import pytest

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.tracking.database.retrying import Patience, retried


class Sleeper:
    """A clock that only waits move; the work stops at `ends_at`."""

    def __init__(self, ends_at=float("inf")):
        self.now, self.ends_at, self.waits = 0.0, ends_at, []

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        return self.now >= self.ends_at

    def patience(self, seconds, **more):
        return Patience(seconds=seconds, wait=self.wait, monotonic=lambda: self.now, chance=lambda: 0.0, **more)


class Attempts:
    """Fails with those errors one after the other, then succeeds."""

    def __init__(self, *errors):
        self.errors, self.count = list(errors), 0

    def __call__(self):
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def unavailable(**more):
    return DatabaseUnavailable("away", **{"may_pass": True, "meaning": "away", **more})


def test_what_may_pass_is_tried_again_with_growing_waits():
    sleeper, attempts = Sleeper(), Attempts(*[unavailable()] * 7)
    assert retried(attempts, sleeper.patience(60)) == "done"
    assert sleeper.waits == [0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_transaction_that_lost_against_another_one_is_repeated_at_once():
    sleeper = Sleeper()
    assert retried(Attempts(unavailable(meaning="conflict")), sleeper.patience(0)) == "done"
    assert sleeper.waits == [0.0]


def test_the_patience_ends_before_a_wait_that_would_be_longer():
    sleeper, attempts = Sleeper(), Attempts(*[unavailable()] * 99)
    with pytest.raises(DatabaseUnavailable):
        retried(attempts, sleeper.patience(10))
    assert (sleeper.now, attempts.count) == (pytest.approx(7.7), 6)


def test_what_does_not_pass_is_raised_at_once():
    sleeper, attempts = Sleeper(), Attempts(unavailable(may_pass=False))
    with pytest.raises(DatabaseUnavailable):
        retried(attempts, sleeper.patience(60))
    assert (sleeper.waits, attempts.count) == ([], 1)


def test_nothing_is_waited_for_once_the_work_is_to_stop():
    sleeper, attempts = Sleeper(ends_at=0.6), Attempts(*[unavailable()] * 99)
    with pytest.raises(DatabaseUnavailable):
        retried(attempts, sleeper.patience(60))
    assert attempts.count == 2


def test_each_wait_and_the_recovery_are_reported():
    reports, sleeper = [], Sleeper()
    patience = sleeper.patience(
        60,
        report=lambda error, seconds: reports.append(seconds),
        recovered=lambda error, seconds: reports.append(("back", str(error), seconds)),
    )
    retried(Attempts(unavailable(), unavailable()), patience)
    assert reports == [0.2, 0.5, ("back", "away", pytest.approx(0.7))]
