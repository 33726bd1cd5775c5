"""An API that is unreachable for a while, or permanently, during an import."""

import asyncio
import time

import httpx

from import_pipeline.ratelimit import Limiter, open_permits, parse_tiers
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking import events
from import_pipeline_tests.support.imports import FREE, counts, import_through, settings, tracking

REFUSED = "Cannot connect to host api.test:80"
LISTED = {"current_page": 1, "last_page": 1, "total": 40, "data": [{"id": number} for number in range(1, 41)]}


class Outage:
    """The demo API's answers, and that many refused connections at the `begins`-th detail request and after it."""

    def __init__(self, begins, seconds, failure):
        self.begins, self.seconds, self.failure = begins, seconds, failure
        self.details = 0
        self.over_at = None

    def __call__(self, request):
        if request.url.path == "/api/items":
            return LISTED
        if self.over_at is None or time.monotonic() >= self.over_at:
            self.details += 1
        if self.details == self.begins and self.over_at is None:
            self.over_at = time.monotonic() + self.seconds
        if self.over_at is not None and time.monotonic() < self.over_at:
            return self.failure(request) if callable(self.failure) else self.failure
        return {"id": 1, "name": "a", "price": "1.00"}


def imported(home, outage, **environment):
    """The summary and the story of an import through that outage."""
    configured = settings(home, "http://api.test", **{"ITEMS_CEILING": "10", **environment})
    summary = import_through(CannedTransport(outage), ItemsSource(), configured)
    with tracking(configured) as connection:
        happened = events.latest(connection, summary.import_id)
    return summary, [(action, message) for _, action, message in happened]


def test_refused_connections_use_up_no_try_and_the_import_continues_by_itself(home):
    outage = Outage(20, 0.9, lambda _: httpx.ConnectError(REFUSED))
    summary, story = imported(home, outage, ITEMS_TRIES="1")
    assert counts(summary) == ("completed", 40, 40, 0, 0)
    assert [action for action, _ in story] == ["import_started", "import_waits", "import_goes_on", "import_completed"]
    assert story[1][1] == f"The API cannot be reached ({REFUSED}); tries again in 1 s."
    assert story[2][1] == "The API answers again after 1 s."


def test_a_server_that_is_killed_holds_no_request_in_flight_after_it_is_back(home):
    """Those that it took along break off, then connections are refused: neither can still arrive."""
    broken = set()

    def failure(request):
        if request.url.path in broken or len(broken) == 5:
            return httpx.ConnectError(REFUSED)
        broken.add(request.url.path)
        return httpx.ReadError("the connection broke")

    limits = f"{FREE}; 40 concurrent"
    summary, story = imported(home, Outage(20, 0.3, failure), ITEMS_TRIES="1", ITEMS_LIMITS=limits)
    assert counts(summary) == ("completed", 40, 40, 0, 0)
    assert story[1][0] == "import_waits"
    assert in_flight(home, limits) == 0


def in_flight(home, limits):
    """Requests that can still arrive, as the rate-limit store counts them."""
    permits = open_permits(None, settings(home, "http://api.test").limits_path)
    return asyncio.run(Limiter("items", parse_tiers(limits), permits).usage()).in_flight


def test_a_storm_of_errors_costs_a_try_of_those_in_flight_and_holds_the_others_back(home):
    outage = Outage(15, 0.9, httpx.Response(503))
    summary, story = imported(home, outage, ITEMS_TRIES="2")
    assert counts(summary) == ("completed", 40, 40, 0, 0)
    assert [action for action, _ in story] == ["import_started", "import_waits", "import_goes_on", "import_completed"]
    assert story[1][1] == ("The last items all failed (the API answers 503 Service Unavailable); tries again in 1 s.")
    assert summary.requests_count <= 41 + 20  # ten in flight, and ten more before it was known


def test_an_api_that_is_gone_ends_the_import_with_the_reason(home):
    outage = Outage(20, 3600, lambda _: httpx.ConnectError(REFUSED))
    summary, story = imported(home, outage, ITEMS_MAX_OUTAGE="0.8")
    assert (summary.status, summary.items_imported_count, summary.items_failed_count) == ("failed", 19, 0)
    assert summary.failure_reason == (
        f"the API has not answered for 1 s: {REFUSED}. Finished items are kept; the rest can be retried"
    )
    assert story[-1] == ("import_failed", f"Failed: {summary.failure_reason}.")
