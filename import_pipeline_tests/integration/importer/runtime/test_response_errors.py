"""The answers by which items failed, as they are kept with the items."""

import httpx
from sqlalchemy import select

from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking import items
from import_pipeline.tracking.tables import import_item_statuses as statuses
from import_pipeline_tests.support.imports import import_through, settings, tracking

API = "https://api.test"
#: The answers by which items 1 to 3 fail; 4 comes at the second try.
ANSWERS = {
    "/api/items/1": httpx.Response(200, text='{"id": 1, "name": "no price\0"}'),
    "/api/items/2": httpx.Response(200, text="<html>not JSON; token=abcdef</html>"),
    "/api/items/3": httpx.Response(422, text="gone"),
}


class Keeping(ItemsSource):
    """The items, with the answers by which some fail."""

    keep_payloads = True


class Server:
    """Four items; the last one's first answer is an error."""

    def __init__(self):
        self.tries = 0

    def __call__(self, request):
        if request.url.path == "/api/items":
            data = [{"id": number, "updated_at": "2026-01-01"} for number in range(1, 5)]
            return {"data": data, "current_page": 1, "last_page": 1, "total": 4, "next_page_url": None}
        if request.url.path != "/api/items/4":
            return ANSWERS[request.url.path]
        self.tries += 1
        good = {"id": 4, "name": "n", "description": "d", "price": "1.00"}
        return httpx.Response(500, text="not now") if self.tries == 1 else good


def kept(configured):
    """Return external_id -> the kept answer."""
    with tracking(configured) as connection:
        return {each.external_id: each.payload for each in items.failures(connection, 1)}


def test_the_source_decides_whether_they_are_kept(home):
    configured = settings(home, API)
    import_through(CannedTransport(Server()), ItemsSource(), configured)
    assert kept(configured) == {"1": None, "2": None, "3": None}


def test_they_are_kept_with_the_item_beside_its_version(home, database_url):
    configured = settings(home, API, DATABASE_URL=database_url)
    import_through(CannedTransport(Server()), Keeping(), configured)
    assert kept(configured) == {
        "1": '{"id": 1, "name": "no price?"}',
        "2": "<html>not JSON; token=abcdef</html>",
        "3": "gone",
    }
    with tracking(configured) as connection:
        found = connection.execute(select(statuses.c.external_id, statuses.c.metadata))
        metadata = {row.external_id: row.metadata for row in found}
    assert {external_id: each["version"] for external_id, each in metadata.items()} == dict.fromkeys(
        "1234", "2026-01-01"
    )
    assert metadata["4"]["payload"] == "not now"  # of its first try
