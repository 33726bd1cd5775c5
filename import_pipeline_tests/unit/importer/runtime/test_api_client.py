"""The cost of a request, as the source gives it, and the timeout of all."""

from typing import Any, cast

import httpx
import pytest

from import_pipeline.contracts import Connector, ImportSource
from import_pipeline.errors import HookFailed
from import_pipeline.importer.runtime.api_client import RequestCost, RequestTally, open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.ratelimit.endpoints import Endpoints
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport, FakeClock, MemoryPermits
from import_pipeline_tests.support.imports import settings


class Weighed:
    """A source with a cost only."""

    name = "items"

    def __init__(self, cost: Any) -> None:
        self._cost = cost

    def cost(self, request: httpx.Request) -> Any:
        return self._cost


def cost_of(value: Any, tally: RequestTally) -> int:
    return RequestCost(cast(ImportSource, Weighed(value)), tally, Endpoints({}))(
        httpx.Request("GET", "https://api.test/")
    )


def test_costs_are_counted_once_for_each_request() -> None:
    tally = RequestTally()
    assert [cost_of(value, tally) for value in (1, 5, 3)] == [1, 5, 3]
    assert tally.mean_cost == 3
    assert RequestTally().mean_cost == 1


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True, float("nan"), 10**400])
def test_a_cost_that_is_none_names_the_source_and_the_method(value: Any) -> None:
    with pytest.raises(HookFailed, match=r"Weighed\.cost must return a whole number from 1, got"):
        cost_of(value, RequestTally())


class Plain(ItemsSource):
    """A source whose connector names no timeout, or its own."""

    own: float | None = None

    def connector(self, settings):
        return Connector(base_url="https://api.test", timeout=self.own)


@pytest.mark.anyio
@pytest.mark.parametrize(("own", "seconds"), [(None, 7.0), (3.0, 3.0)])
async def test_a_connector_without_a_timeout_has_that_of_the_setting(home, own, seconds):
    configured = settings(home, "https://api.test", ITEMS_TIMEOUT="7")
    [source] = configure([Plain()], configured)
    source.own = own
    async with open_api(source, configured, FakeClock(), CannedTransport({}), permits=MemoryPermits()) as api:
        assert api.client.timeout == httpx.Timeout(seconds)
