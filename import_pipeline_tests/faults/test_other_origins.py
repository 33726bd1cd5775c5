"""An API that redirects to other origins: the token is sent to its own origin only."""

import httpx
import pytest

from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import counts, import_through, reasons, settings

URL = "https://api.test"
TOKEN = "s3cret-of-ours"
ELSEWHERE = [
    "https://evil.test/api/items/1",
    "http://169.254.169.254/latest/meta-data/",
    "http://api.test/api/items/1",
    "//evil.test/api/items/1",
    "https://api.test:8443/api/items/1",
    "https://api.test@evil.test/",
    "file:///etc/passwd",
]


def page(request):
    data = [{"id": number} for number in range(1, len(ELSEWHERE) + 1)]
    return {"current_page": 1, "last_page": 1, "total": len(data), "data": data}


class Origins(CannedTransport):
    """Canned responses, and the origins that received the token."""

    @property
    def seen(self):
        assert all(request.headers["Authorization"] == f"Bearer {TOKEN}" for request in self.requests)
        return {f"{request.url.scheme}://{request.url.netloc.decode()}" for request in self.requests}


def take(transport, home, source=None, **options):
    configured = settings(home, URL, ITEMS_TOKEN=TOKEN)
    return import_through(transport, source or ItemsSource(), configured, **options), configured


@pytest.mark.parametrize("status", [302, 308])
def test_no_redirect_of_a_detail_is_followed(home, status):
    def answer(request):
        number = request.url.path.rpartition("/")[2]
        if number == "items":
            return page(request)
        return httpx.Response(status, headers={"Location": ELSEWHERE[int(number) - 1]})

    transport = Origins(answer)
    summary, configured = take(transport, home)
    assert counts(summary) == ("completed", len(ELSEWHERE), 0, 0, len(ELSEWHERE))
    assert set(reasons(configured).values()) == {
        f"the API answers {status} {httpx.codes.get_reason_phrase(status)}: redirects are not followed"
    }
    assert (transport.seen, len(transport.requests)) == ({URL}, 1 + len(ELSEWHERE))


@pytest.mark.parametrize("location", ELSEWHERE[:2])
def test_no_redirect_of_the_list_is_followed(home, location):
    transport = Origins(lambda request: httpx.Response(302, headers={"Location": location}))
    summary, _ = take(transport, home)
    assert summary.status == "failed"
    assert summary.failure_reason == "list page 1: the API answers 302 Found: redirects are not followed"
    assert (transport.seen, len(transport.requests)) == ({URL}, 1)


class Pointed(ItemsSource):
    """Takes the URLs of the details from the list, as many APIs provide them."""

    class Item(ImportedItem):
        def detail_request(self):
            return httpx.Request("GET", self.name)

    model = Item

    def stub(self, item):
        return self.Item(external_id=str(item["id"]), name=item["url"])


@pytest.mark.parametrize("address", ELSEWHERE[:4])
def test_no_detail_is_requested_from_another_origin(home, address):
    def answer(request):
        return {"current_page": 1, "last_page": 1, "total": 1, "data": [{"id": 1, "url": address}]}

    transport = Origins(answer)
    summary, configured = take(transport, home, Pointed())
    assert transport.seen == {URL}
    assert counts(summary) == ("completed", 1, 0, 0, 1)
    if not address.startswith("//"):  # is read as a path
        assert reasons(configured)["1"].endswith(f"expected the source's own origin {URL}")
