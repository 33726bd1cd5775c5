"""An import of an API whose search has limits of its own: requests, figures and displays know both."""

import httpx
import pytest

from import_pipeline.clock import SystemClock
from import_pipeline.importer.control.pauses import lift_pause
from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.importer.source_loader import configure
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, Outcome, Settlement
from import_pipeline.rules.forecast import minimum_by_endpoint
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.changing_list import ChangingList, import_list
from import_pipeline_tests.support.imports import counts, demo_api, latest, settings

LIMITS = "1000/1 second; /api/search: 4/1 second"
FAST = {"ITEMS_CONCURRENCY": "8", "ITEMS_TRIES": "2", "ITEMS_BACKOFF": "0.01"}


class Searched(ItemsSource):
    """The example, listed by a search."""

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/api/search", params={"page": page, "perPage": per_page})


def searching(ids, refusals=()):
    """Serve the list at /api/search; refuse its requests of those numbers."""
    shelf, seen = ChangingList(ids, size=5), []

    def answer(request):
        if request.url.path != "/api/search":
            return shelf(request)
        seen.append(request)
        if len(seen) in refusals:
            return httpx.Response(429, headers={"Retry-After": "1"})
        return shelf(httpx.Request("GET", request.url.copy_with(path="/api/items")))

    return answer


def test_the_figures_of_an_import_know_the_limits_of_each_endpoint(home, database_url):
    environment = {**FAST, "ITEMS_LIMITS": LIMITS, "DATABASE_URL": database_url}
    summary, configured = import_list(searching(range(1, 61)), home, Searched(), **environment)
    assert (counts(summary), summary.rate_limit_hits_count) == (("completed", 60, 60, 0, 0), 0)
    facts = latest(configured).facts
    assert facts.requests_by_endpoint == {"/api/search": 12, "": 60}
    assert summary.ideal_seconds == minimum_by_endpoint(facts.requests_by_endpoint, parse_limits(LIMITS)) == 2
    assert summary.duration_seconds >= 2


def test_a_refusal_of_the_search_does_not_stop_the_details(home):
    summary, _ = import_list(searching(range(1, 21), {2}), home, Searched(), ITEMS_LIMITS=LIMITS, **FAST)
    assert (counts(summary), summary.rate_limit_hits_count) == (("completed", 20, 20, 0, 0), 1)


@pytest.mark.parametrize("redis", [False, True])
def test_usage_and_pauses_are_those_of_each_endpoint(home, redis_url, redis):
    environment = {"ITEMS_LIMITS": LIMITS, **FAST, **({"REDIS_URL": redis_url} if redis else {})}
    _, configured = import_list(searching(range(1, 11)), home, Searched(), **environment)
    [source] = configure([Searched()], configured)
    reader = UsageReader(settings=configured, clock=SystemClock())
    usage = reader.usage(source)
    reader.close()
    assert [(tier.endpoint, tier.amount, tier.seconds) for tier in usage.tiers] == [
        ("", 1000, 1),
        ("/api/search", 4, 1),
    ]


def test_resume_lifts_the_pause_of_an_endpoint(home):
    configured = settings(home, "https://api.test", ITEMS_LIMITS=LIMITS)
    permits = open_permits(None, configured.limits_path)
    refused = Settlement(permit="1", outcome=Outcome.REFUSED, wait=3_600 * SECOND)
    permits.exchange(ExchangeRequest(api="items /api/search", process="1", tiers=((4, SECOND),), settled=(refused,)))
    permits.close()
    with open_installation(configured, configure([Searched()], configured)) as installation:
        lifted = lift_pause(installation, installation.source("items"), by="Ada")
        assert lifted.paused_until is not None
        assert lift_pause(installation, installation.source("items"), by="Ada").paused_until is None


def test_a_plan_counts_each_request_under_the_limits_of_its_endpoint(home):
    with demo_api(items=40) as url:
        configured = settings(home, url, ITEMS_PER_PAGE="4", ITEMS_LIMITS="100/1 second; /api/items/9: 1/1 second")
        with open_installation(configured) as installation:
            assert plan_import(installation, installation.source("items")).ideal_seconds == 0
        configured = settings(home, url, ITEMS_PER_PAGE="4", ITEMS_LIMITS="9/1 second; /api/items: 1/1 second")
        with open_installation(configured) as installation:
            planned = plan_import(installation, installation.source("items"))
    assert (planned.requests_count, planned.ideal_seconds) == (50, 49)
