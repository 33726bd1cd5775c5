"""Retry a unit of work after a passing failure of the database: a deadlock, a lock, a lost connection."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from import_pipeline.clock import Random, system_random
from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.database_errors import ErrorKind

T = TypeVar("T")

#: Seconds before each further try; the last one repeats.
DELAYS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
#: The same after a conflict with another transaction, which has ended by then.
CONFLICT_DELAYS = (0.0, 0.02, 0.1, 0.5, 1.0, 2.0)


@dataclass(kw_only=True)
class Patience:
    """The time and the means to wait for a database that does not answer.

    `wait` sleeps, and returns True to give up, as `threading.Event.wait` does. `report` is called before each wait,
    `recovered` after all of them with their seconds.
    """

    seconds: float  #: since the first failure
    wait: Callable[[float], bool] = field(default_factory=lambda: threading.Event().wait)
    monotonic: Callable[[], float] = time.monotonic
    chance: Random = system_random
    report: Callable[[DatabaseUnavailable, float], object] = lambda error, seconds: None
    recovered: Callable[[DatabaseUnavailable, float], object] = lambda error, seconds: None


def retried(attempt: Callable[[], T], patience: Patience) -> T:
    """Return the attempt's result, retried while its failures may pass and the patience lasts.

    Each attempt is a whole transaction, which a failure rolls back. Raises the last DatabaseUnavailable.
    """
    began, failures = patience.monotonic(), 0
    last: DatabaseUnavailable | None = None
    while True:
        try:
            result = attempt()
        except DatabaseUnavailable as error:
            last = error
            failures += 1
            if failures == 1:
                began = patience.monotonic()
            delays = CONFLICT_DELAYS if error.meaning == ErrorKind.CONFLICT else DELAYS
            seconds = retry_delay(failures, delays, patience.chance()).total_seconds()
            if not error.may_pass or patience.monotonic() - began + seconds > patience.seconds:
                raise
            patience.report(error, seconds)
            if patience.wait(seconds):
                raise
        else:
            if last is not None:
                patience.recovered(last, patience.monotonic() - began)
            return result
