"""Any single operation of an import fails: the run ends with a clear result, and the next one completes the rest."""

from collections import Counter
from itertools import count

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from import_pipeline.errors import DatabaseUnavailable
from import_pipeline.ratelimit.protocol import StoreError
from import_pipeline_tests.faults.crash_points import CrashPoints, import_past
from import_pipeline_tests.faults.invariants import (
    IN_FLIGHT,
    ITEMS,
    assert_the_next_run_completes,
    forget_everything,
    small_import,
)
from import_pipeline_tests.support.imports import demo_api

REQUESTS = {"sent", "received"}
PERMITS = {"permit", "permit given"}


@pytest.fixture(scope="module")
def api():
    """A demo API of two pages."""
    with demo_api(items=ITEMS) as url:
        yield url


@pytest.fixture
def configured(home, api, database_url):
    """An import that has not begun."""
    return small_import(home, api, database_url, ITEMS_TIMEOUT="10")


def is_statement(point):
    return not is_request(point) and not is_permit(point) and not point.endswith((" commit", " committed"))


def is_commit(point):
    return point.endswith(" commit")


def is_request(point):
    return point in REQUESTS


def is_permit(point):
    return point in PERMITS


def statement_fails(point, connection):
    raise connection.dialect.loaded_dbapi.OperationalError(f"no answer to {point}")


def commit_fails(point, connection):
    raise OperationalError("COMMIT", None, connection.dialect.loaded_dbapi.OperationalError(f"no answer to {point}"))


def answer_to_commit_is_lost(point, connection):
    """The commit is done, but its answer is lost."""
    connection.dialect.do_commit(connection.connection)
    commit_fails(point, connection)


def request_fails(error):
    def strike(point, _):
        raise error(f"as ordered, at {point}")

    return strike


def store_fails(point, _):
    raise StoreError(f"as ordered, at {point}")


FAULTS = {
    "a statement fails": (is_statement, statement_fails),
    "a commit fails": (is_commit, commit_fails),
    "the answer to a commit is lost": (is_commit, answer_to_commit_is_lost),
    "no connection": (is_request, request_fails(httpx.ConnectError)),
    "the connection breaks": (is_request, request_fails(httpx.ReadError)),
    "no answer in time": (is_request, request_fails(httpx.ReadTimeout)),
    "an answer is no HTTP": (is_request, request_fails(httpx.RemoteProtocolError)),
    "the limiter's store does not answer": (is_permit, store_fails),
}
ON_BOTH_DATABASES = ["a statement fails", "a commit fails", "the answer to a commit is lost"]


def how_it_ends(configured, dead_worker, points):
    """Return the status, or the error that a user sees."""
    try:
        return import_past(points, configured, dead_worker).status
    except DatabaseUnavailable as error:
        return str(error).partition(": ")[2]


def ending_with(configured, api, dead_worker, fault, at):
    """Import with the fault at its `at`-th place, then again. Return how the first ended; None without a fault."""
    counts, strike = FAULTS[fault]
    points = CrashPoints(at=at, strike=strike, counts=counts)
    forget_everything(configured, api)
    ending = how_it_ends(configured, dead_worker, points)
    if points.struck is None:
        assert ending == "completed"
        return None
    assert_the_next_run_completes(configured, api, most_repeated=IN_FLIGHT + 1)
    return ending


SELECTION = [
    ("a statement fails", 60),
    ("a commit fails", 8),
    ("the answer to a commit is lost", 12),
    ("the connection breaks", 6),
    ("the limiter's store does not answer", 4),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("fault", "at"), SELECTION)
def test_an_operation_that_fails_loses_and_doubles_nothing(configured, api, dead_worker, fault, at):
    ending = ending_with(configured, api, dead_worker, fault, at)
    assert ending == "completed" or ending.startswith("no answer to ")


def every_place(configured, api, dead_worker, fault, record_property):
    endings = Counter()
    for at in count(1):
        ending = ending_with(configured, api, dead_worker, fault, at)
        if ending is None:
            break
        endings[ending] += 1
    record_property("endings", dict(endings))
    return endings


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("fault", ON_BOTH_DATABASES)
def test_any_database_operation_may_fail(configured, api, dead_worker, fault, record_property):
    endings = every_place(configured, api, dead_worker, fault, record_property)
    assert {ending.partition(" to ")[0] for ending in endings} <= {"completed", "no answer"}
    assert endings.total() > 15


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in ON_BOTH_DATABASES])
def test_any_request_or_permit_may_fail(configured, api, dead_worker, fault, record_property):
    """The run survives, unless the API was never reachable: that is reported immediately."""
    endings = every_place(configured, api, dead_worker, fault, record_property)
    assert endings["completed"] >= 12
    assert endings["failed"] == (2 if fault == "no connection" else 0)
    assert set(endings) <= {"completed", "failed"}
