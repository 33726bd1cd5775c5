"""`kill -9` at every named point of an import: the next run loses nothing and stores nothing twice.

The API enforces its limits strictly and the next run begins immediately, so the dead run's requests still count.
"""

import multiprocessing
import os
import signal
from itertools import count

import pytest

from import_pipeline_tests.faults.crash_points import CrashPoints, import_past
from import_pipeline_tests.faults.invariants import (
    IN_FLIGHT,
    ITEMS,
    assert_the_next_run_completes,
    forget_everything,
    small_import,
)
from import_pipeline_tests.support import http
from import_pipeline_tests.support.imports import demo_api, latest
from import_pipeline_tests.support.parallel import PRELOAD

LIMITS = "10/1 second"
NAMED = [
    "page",
    "page commit",
    "page committed",
    "claim",
    "claim commit",
    "claim committed",
    "permit",
    "permit given",
    "sent",
    "received",
    "marked",
    "written",
    "written commit",
    "written committed",
    "lease renewed",
    "lease renewed commit",
    "lease renewed committed",
    "released",
    "released commit",
    "released committed",
]
#: The ends of all other transactions that write, such as the begin and the end of the import.
UNNAMED = ["transaction commit", "transaction committed"]
#: The points of a daily run. A nightly run kills an import at every passage of every point.
BY_DAY = ["page commit", "claim committed", "sent", "written commit"]


@pytest.fixture(scope="module")
def api():
    """A strict demo API of two pages."""
    with demo_api(items=ITEMS, limits=LIMITS) as url:
        yield url


@pytest.fixture
def configured(home, api, database_url):
    """An import that has not begun."""
    return small_import(home, api, database_url, ITEMS_LIMITS=LIMITS, ITEMS_TIMEOUT="5")


def killed_at(configured, at, point):
    """Import in a process that is killed when it reaches that point for the `at`-th time.

    Returns the point's name, or None if the process passed it less often.
    """
    context = multiprocessing.get_context("forkserver")  # a fork of a process with threads may hang
    context.set_forkserver_preload([*PRELOAD, __name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_import_and_die, args=(configured, at, point, sender))
    process.start()
    process.join(60)
    assert process.exitcode in {0, -signal.SIGKILL}
    return receiver.recv() if process.exitcode else None


def _import_and_die(configured, at, point, sender):
    def die(met, _):
        sender.send(met)
        os.kill(os.getpid(), signal.SIGKILL)

    import_past(CrashPoints(at=at, strike=die, counts=lambda met: met == point), configured)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("point", BY_DAY)
def test_a_kill_at_a_named_point_loses_and_doubles_nothing(configured, api, point):
    forget_everything(configured, api)
    assert killed_at(configured, 1, point) == point
    assert_the_next_run_completes(configured, api)


@pytest.mark.parametrize("at", [1, 3])
def test_requests_of_a_killed_process_are_counted_with_the_rows_that_it_stored(configured, api, at):
    forget_everything(configured, api)
    assert killed_at(configured, at, "written committed") == "written committed"
    row = latest(configured)
    brought = row.items_imported_count + row.checkpoint["page"]
    assert brought > at
    sent = http.get(f"{api}/_stats").json()["admitted"]
    assert brought <= row.requests_count <= sent <= row.requests_count + IN_FLIGHT + 1, "details, and a page"


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_a_kill_at_any_point_loses_and_doubles_nothing(configured, api, record_property):
    repeated = {}
    for point in (*NAMED, *UNNAMED):
        for at in count(1):
            forget_everything(configured, api)
            if killed_at(configured, at, point) is None:
                break
            repeated[point, at] = assert_the_next_run_completes(configured, api).repeated
    record_property("points", len(repeated))
    record_property("most_repeated", max(repeated.values()))
    assert {point for point, _ in repeated} == {*NAMED, *UNNAMED}
