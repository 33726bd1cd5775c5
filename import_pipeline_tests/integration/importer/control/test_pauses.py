"""A pause of an API: too long for an import, lifted by hand, ended by corrected limits."""

import httpx
import pytest

from import_pipeline.errors import ImportFailed
from import_pipeline.importer.control.pauses import LIFTED, lift_pause
from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.limiter_usage import UsageReader
from import_pipeline.ratelimit import open_permits
from import_pipeline.ratelimit.protocol import SECOND, ExchangeRequest, Outcome, Settlement
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking import events, leases
from import_pipeline_tests.support.imports import counts, import_through, settings, tracking

LISTED = {"current_page": 1, "last_page": 1, "total": 3, "data": [{"id": number} for number in range(1, 4)]}


class Refusing:
    """Details of three items, after that many refusals with these headers."""

    def __init__(self, refusals, **headers):
        self.left, self.headers, self.sent = refusals, headers, 0

    def __call__(self, request):
        self.sent += 1
        if request.url.path == "/api/items":
            return LISTED
        if self.left:
            self.left -= 1
            return httpx.Response(429, headers=self.headers)
        return {"id": 1, "name": "a", "price": "1.00"}


def imported(home, api, **environment):
    configured = settings(home, "http://api.test", ITEMS_BACKOFF="0.05", **environment)
    return import_through(CannedTransport(api), ItemsSource(), configured)


@pytest.fixture(params=["sqlite", "redis"])
def store(request):
    """The setting that names the limits' store."""
    if request.param == "sqlite":
        return {}
    server = request.getfixturevalue("redis_server")
    server.flush()
    return {"REDIS_URL": server.url()}


def test_a_refusal_without_a_hint_under_a_daily_limit_costs_a_second(home, store):
    summary = imported(home, Refusing(1), ITEMS_LIMITS="100000/day", **store)
    assert counts(summary) == ("completed", 3, 3, 0, 0)
    assert 1 <= summary.total_sleep_seconds < 10


def test_a_pause_that_is_too_long_names_the_command_which_lifts_it(home, store):
    api = Refusing(1, **{"Retry-After": "86400"})
    configured = settings(home, "http://api.test", **store)
    first = imported(home, api, **store)
    assert first.status == "failed"
    with tracking(configured) as connection:
        reason = events.latest(connection, first.import_id)[-1][2]
    assert "longer than the source allows (ITEMS_MAX_PAUSE, 6:00:00)" in reason
    assert "import-pipeline resume items, then import-pipeline run items" in reason
    assert imported(home, api, **store).status == "failed", "the pause is still there"
    sent = api.sent
    with open_installation(configured, [ItemsSource()]) as installation:
        with pytest.raises(ImportFailed, match="or lift it: import-pipeline resume items"):
            plan_import(installation, installation.source("items"))
        lifted = lift_pause(installation, installation.source("items"), by="Ada")
        assert lifted.paused_until is not None
        assert lift_pause(installation, installation.source("items"), by="Ada").paused_until is None
    assert api.sent == sent, "no request is sent in the pause"
    assert counts(imported(home, api, **store)) == ("completed", 3, 3, 0, 0)


def refuse(simulation, wait):
    """Report a refusal by the API to the store, as another process does."""
    configured = simulation.installation.settings
    permits = open_permits(configured.redis_url, configured.limits_path)
    settled = (Settlement(permit="p", outcome=Outcome.REFUSED, wait=wait * SECOND),)
    permits.exchange(ExchangeRequest(api="items", process="other", tiers=(), settled=settled))
    permits.close()


def test_an_import_that_waits_for_the_pauses_end_waits_no_longer(simulation):
    refuse(simulation, 7200)
    hand = simulation.begin(simulation.slot(simulation.now))
    simulation.advance(seconds=1)
    until = simulation.now.replace(year=simulation.now.year + 1)
    simulation.call(leases.write, hand.lease, simulation.now, blocked_until=until)
    lifted = lift_pause(simulation.installation, simulation.source, by="Ada")
    assert (lifted.api, lifted.imports) == ("items", (hand.row.id,))
    assert simulation.get(hand.row.id).blocked_until is None
    assert simulation.event_sentences(hand.row.id)[-1] == (
        LIFTED,
        "Ada lifted the pause of the API; requests continue.",
    )
    usage_reader = UsageReader(settings=simulation.installation.settings, clock=simulation.clock)
    usage = usage_reader.usage(simulation.source)
    usage_reader.close()
    assert usage is not None
    assert usage.paused_until is None
