"""The number of details in flight follows the duration of answers, up and down."""

import asyncio

import httpx
import pytest

from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.imports import counts, import_through, settings

LEAST, CEILING = 3, 30
SLOW, QUICK, LAST = 90, 150, 60  #: answers of each kind, in this order
LISTED = {
    "current_page": 1,
    "last_page": 1,
    "total": SLOW + QUICK + LAST,
    "data": [{"id": number} for number in range(1, SLOW + QUICK + LAST + 1)],
}


class ChangingApi(httpx.AsyncBaseTransport):
    """Details take 0.4 s at first, then next to nothing; the first of the last ones see all who fetch."""

    def __init__(self):
        self.details = self.in_flight = self.last_answers = 0
        self.most = {"slow": 0, "quick": 0, "last": 0}

    async def handle_async_request(self, request):
        if request.url.path == "/api/items":
            return httpx.Response(200, json=LISTED)
        self.details += 1
        kind, seconds = ("slow", 0.4)
        if self.details > SLOW:
            kind, seconds = ("quick", 0.001) if self.details <= SLOW + QUICK else ("last", 0.8)
        self.in_flight += 1
        if not self.last_answers:  # which are slow, and bring more
            self.most[kind] = max(self.most[kind], self.in_flight)
        await asyncio.sleep(seconds)
        self.in_flight -= 1
        self.last_answers += kind == "last"
        return httpx.Response(200, json={"id": 1, "name": "a", "price": "1.00"})


@pytest.fixture
def api(home):
    """The API after an import of all its items, with as many fetchers as the importer chose."""
    limits = {"ITEMS_CONCURRENCY": str(LEAST), "ITEMS_CEILING": str(CEILING), "ITEMS_LIMITS": "3000/60 second"}
    api = ChangingApi()
    summary = import_through(api, ItemsSource(), settings(home, "http://api.test", **limits))
    assert counts(summary) == ("completed", SLOW + QUICK + LAST, SLOW + QUICK + LAST, 0, 0)
    return api


def test_more_are_in_flight_while_answers_are_slow_and_fewer_when_they_are_quick_again(api):
    assert api.most["slow"] == CEILING, "50 a second and 0.4 s, twice over, are more than the ceiling"
    # Less than 0.1 s even on a busy machine, 50 a second, twice over, and half as many again.
    assert LEAST <= api.most["last"] <= CEILING / 2
