"""Lists that shift, repeat themselves, lie or lead astray: answered by a function, imported as always."""

import gzip
import json

import httpx
import pytest

from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.importing import counts, import_through, latest, reasons, rows, settings

URL = "https://api.test"


class Shelf:
    """A list of ids that changes while it is read: `between[n]` is called once, before its n-th request is answered."""

    def __init__(self, ids, *, size=3, between=None, tells_total=True):
        self.ids, self.size, self.tells_total = list(ids), size, tells_total
        self.between = dict(between or {})
        self.pages = []

    def __call__(self, request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        self.pages.append(int(request.url.params["page"]))
        if change := self.between.pop(len(self.pages), None):
            change(self.ids)
        return self.page(self.pages[-1])

    def page(self, number):
        chosen = self.ids[(number - 1) * self.size : number * self.size]
        body = {"data": [{"id": each, "name": "n"} for each in chosen], "current_page": number}
        body["last_page"] = -(-len(self.ids) // self.size)
        return body | ({"total": len(self.ids)} if self.tells_total else {})


def detail(item_id):
    return {"id": item_id, "name": "n", "price": "1.00"}


def take(transport, home, source=None, **wishes):
    """The summary of an import from that list, and the settings by which to look at the outcome."""
    configured = settings(home, URL)
    if not isinstance(transport, CannedTransport):
        transport = CannedTransport(transport)
    return import_through(transport, source or ItemsSource(), configured, **wishes), configured


def remove_first(ids):
    ids.pop(0)


def insert_first(ids):
    ids.insert(0, 0)


@pytest.mark.parametrize(
    ("change", "expected", "pages"),
    [(remove_first, range(1, 10), [1, 2, 3, 1, 2, 3]), (insert_first, range(10), [1, 2, 3, 4, 1, 2, 3, 4])],
    ids=["an item is deleted", "an item is inserted"],
)
def test_nothing_is_lost_when_the_list_shifts_while_it_is_read(home, change, expected, pages):
    shelf = Shelf(range(1, 10), between={2: change})
    summary, configured = take(shelf, home)
    assert (summary.status, summary.incomplete_reason, shelf.pages) == ("completed", None, pages)
    assert sorted(map(int, rows(configured))) == list(expected)


def test_a_list_that_tells_no_total_is_read_again_when_an_item_comes_twice(home):
    shelf = Shelf(range(1, 10), between={2: insert_first}, tells_total=False)
    summary, configured = take(shelf, home)
    assert (counts(summary), shelf.pages) == (("completed", 10, 10, 0, 0), [1, 2, 3, 4] * 2)
    assert sorted(map(int, rows(configured))) == list(range(10))


def test_a_list_whose_order_shifts_is_read_again_until_it_has_given_all(home):
    shelf = Shelf(range(1, 10), between={2: lambda ids: ids.reverse()})  # 9..1: page two has 4 to 6 again, then 3 to 1
    summary, configured = take(shelf, home)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 9, 9, 0, 0), None)
    assert shelf.pages == [1, 2, 3, 1, 2, 3]
    assert sorted(map(int, rows(configured))) == list(range(1, 10))


def test_a_list_that_holds_fewer_items_than_it_says_is_incomplete(home):
    shelf = Shelf(range(1, 7))

    def answer(request):
        body = shelf(request)
        return body | {"total": 8} if "data" in body else body

    summary, configured = take(answer, home)
    assert (counts(summary), summary.exit_status) == (("completed", 6, 6, 0, 0), 3)
    assert summary.incomplete_reason == "the list says 8 items, 6 were found on its pages"
    assert shelf.pages == [1, 2] * 3
    assert latest(configured).items_count == 6


def test_a_page_that_comes_again_ends_the_list_as_incomplete(home):
    shelf = Shelf(range(1, 100))

    def answer(request):
        body = shelf(request)
        return shelf.page(min(2, shelf.pages[-1])) | {"last_page": 999} if "data" in body else body

    summary, _ = take(answer, home)
    assert counts(summary) == ("completed", 6, 6, 0, 0)
    assert summary.incomplete_reason == "the list repeats itself: page 3 has the same items as the page before it"
    assert shelf.pages == [1, 2, 3]


def test_a_list_that_goes_in_circles_ends_as_incomplete(home):
    shelf = Shelf(range(1, 7), tells_total=False)

    def answer(request):
        body = shelf(request)
        return shelf.page(1 + (shelf.pages[-1] - 1) % 2) | {"last_page": 999} if "data" in body else body

    summary, _ = take(answer, home)
    assert counts(summary) == ("completed", 6, 6, 0, 0)
    assert summary.incomplete_reason == "the list repeats itself: the 3 pages up to 5 have no new items"
    assert shelf.pages == [1, 2, 3, 4, 5]


def test_an_endless_list_ends_with_its_first_empty_page(home):
    shelf = Shelf(range(1, 7))

    def answer(request):
        body = shelf(request)
        return body | {"last_page": 10**9} if "data" in body else body

    summary, _ = take(answer, home)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 6, 6, 0, 0), None)
    assert shelf.pages == [1, 2, 3]


def test_short_pages_are_no_end_of_the_list(home):
    pages = {1: [1], 2: [2, 3], 3: [4], 4: []}

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        page = int(request.url.params["page"])
        return {"data": [{"id": each} for each in pages[page]], "current_page": page, "last_page": 4, "total": 4}

    summary, configured = take(answer, home)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 4, 4, 0, 0), None)
    assert sorted(rows(configured)) == ["1", "2", "3", "4"]


def test_a_list_without_end_whose_items_are_always_new_ends_as_incomplete(home):
    asked = []

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        page = int(request.url.params["page"])
        asked.append(page)
        data = [{"id": 10 * page + each} for each in range(10)]
        return {"data": data, "current_page": page, "last_page": page + 1, "total": 50}

    source = type("Small", (ItemsSource,), {"per_page": 10})()
    summary, _ = take(answer, home, source)
    assert summary.incomplete_reason == "the list goes on after 210 items, although it says that it has 50"
    assert (counts(summary), asked) == (("completed", 210, 210, 0, 0), list(range(1, 22)))


def test_a_list_that_loses_items_each_time_that_it_is_read_is_incomplete(home):
    shelf = Shelf(range(1, 16), between={2: remove_first, 7: remove_first, 12: remove_first})
    summary, _ = take(shelf, home)
    assert summary.status == "completed"
    assert summary.incomplete_reason == "items were taken out of the list each of the 3 times that it was read"


def test_a_list_that_has_lost_nothing_in_one_reading_is_complete(home):
    shelf = Shelf(range(1, 16), between={2: remove_first, 7: insert_first, 13: remove_first})
    summary, _ = take(shelf, home)
    assert (summary.status, summary.incomplete_reason) == ("completed", None)


def test_a_list_that_never_comes_to_rest_is_incomplete_where_two_readings_shall_agree(home):
    def swap(ids):
        ids.append(ids.pop(0) + 100)

    source = type("Careful", (ItemsSource,), {"read_twice": True})()
    summary, _ = take(Shelf(range(1, 10), between={2: swap, 5: swap, 8: swap}), home, source)
    assert summary.incomplete_reason == "the list was another one each of the 3 times that it was read"


class Linked(ItemsSource):
    """Follows whatever the answer says; what numbered pages need is not in it."""

    def next_request(self, response, page):
        following = response.json().get("next")
        return httpx.Request("GET", following) if following else None


@pytest.mark.parametrize(
    ("following", "there"),
    [
        ("https://evil.test/api/items?page=2", "https://evil.test"),
        ("http://api.test/api/items?page=2", "http://api.test"),
        ("https://api.test:8443/api/items", "https://api.test:8443"),
        ("https://api.test@evil.test/", "https://evil.test"),
        ("http://169.254.169.254/latest/meta-data", "http://169.254.169.254"),
        ("https://127.0.0.1/api/items", "https://127.0.0.1"),
    ],
)
def test_a_next_page_elsewhere_is_not_asked_for(home, following, there):
    transport = CannedTransport(lambda request: {"data": [{"id": 1}], "total": 2, "next": following})
    summary, _ = take(transport, home, Linked())
    assert summary.status == "failed"
    assert summary.failure_reason.endswith(f"expected the source's own origin {URL}")
    assert f"a request would go to {there}" in summary.failure_reason.replace("api.test@", "")
    assert {request.url.host for request in transport.requests} == {"api.test"}


class Posted(ItemsSource):
    """Pages by a cursor in a request's body, with a header of its own."""

    def list_request(self, page, per_page):
        return self.search(None)

    def search(self, cursor):
        return httpx.Request("POST", "/search", json={"after": cursor}, headers={"X-Search": "v2"})

    def next_request(self, response, page):
        cursor = response.json()["cursor"]
        return self.search(cursor) if cursor else None


def test_a_next_request_is_sent_whole(home):
    def answer(request):
        if request.url.path != "/search":
            return detail(request.url.path.rpartition("/")[2])
        after = json.loads(request.content)["after"] or 0
        data = [{"id": after + 1}, {"id": after + 2}]
        return {"data": data, "total": 6, "cursor": after + 2 if after < 4 else None}

    transport = CannedTransport(answer)
    summary, _ = take(transport, home, Posted())
    assert counts(summary) == ("completed", 6, 6, 0, 0)
    sent = [
        (request.method, request.headers.get("X-Search"), json.loads(request.content))
        for request in transport.requests
        if request.url.path == "/search"
    ]
    assert sent == [("POST", "v2", {"after": after}) for after in (None, 2, 4)]


def broken(method, error):
    def fail(*_):
        raise error

    return type("Broken", (ItemsSource,), {method: fail})()


MISTAKES = [
    ("next_request", KeyError("next"), "items.next_request: expected a request, or None, got KeyError: 'next'"),
    ("total", TypeError("no number"), "items.total: expected a whole number from 0, or None, got TypeError: no number"),
]


@pytest.mark.parametrize(("method", "error", "sentence"), MISTAKES)
def test_a_mistake_of_the_source_ends_the_import_with_its_place(home, method, error, sentence):
    summary, _ = take(Shelf(range(9)), home, broken(method, error))
    assert (summary.status, summary.failure_reason) == ("failed", sentence)


@pytest.mark.parametrize("total", ["12", -1, 1.5])
def test_a_total_that_is_none_ends_the_import_with_its_place(home, total):
    source = type("Odd", (ItemsSource,), {"total": lambda self, response: total})()
    summary, _ = take(Shelf(range(9)), home, source)
    assert summary.failure_reason == f"items.total: expected a whole number from 0, or None, got {total!r}"


def test_a_stub_of_another_class_ends_the_import_with_its_place(home):
    source = type("Odd", (ItemsSource,), {"stub": lambda self, item: item})()
    summary, _ = take(Shelf(range(9)), home, source)
    assert summary.failure_reason == "items.stub: expected a ImportedItem, got dict"


def test_a_list_item_that_cannot_be_read_fails_by_its_place_and_no_other_suffers(home):
    data = [{"id": 1}, {"name": "no id"}, "no object", {"id": "x" * 256}, {"id": "a\0b"}, {"id": "\ud800"}, {"id": 7}]

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        return httpx.Response(200, content=json.dumps({"data": data, "current_page": 1, "last_page": 1, "total": 7}))

    summary, configured = take(answer, home)
    assert (counts(summary), summary.exit_status) == (("completed", 7, 2, 0, 5), 3)
    expected = "items.stub: expected an external_id of 1 to 255 characters, got"
    assert reasons(configured) == {
        "(page 1, item 2)": "items.stub rejects the list item: KeyError: 'id'",
        "(page 1, item 3)": "items.stub rejects the list item: TypeError: string indices must be integers, not 'str'",
        "(page 1, item 4)": f"{expected} '{'x' * 40}'",
        "(page 1, item 5)": f"{expected} 'a\\x00b'",
        "(page 1, item 6)": f"{expected} '\\ud800'",
    }
    assert sorted(rows(configured)) == ["1", "7"]


class Careless(ItemsSource):
    """Its details are asked for without quoting, and elsewhere for one."""

    class Item(ImportedItem):
        def detail_request(self):
            return httpx.Request("GET", f"/api/items/{self.external_id}")

    model = Item

    def stub(self, item):
        return self.Item(external_id=item["id"], name="n")


def test_an_item_whose_request_cannot_be_built_fails_alone(home):
    summary, configured = take(Shelf(["1", "a\nb", "3"]), home, Careless())
    assert counts(summary) == ("completed", 3, 2, 0, 1)
    [(external_id, reason)] = reasons(configured).items()
    assert external_id == "a\nb"
    assert reason.startswith("Item.detail_request fails: InvalidURL: Invalid non-printable ASCII character in URL")


def test_an_id_that_means_a_folder_fails_alone_and_says_so(home):
    summary, configured = take(Shelf(["..", "...", "."]), home)
    assert counts(summary) == ("completed", 3, 1, 0, 2)
    sentence = (
        "ImportedItem.detail_request fails: ValueError: {!r} cannot be asked for: in an address it means a folder"
    )
    assert reasons(configured) == {each: sentence.format(each) for each in (".", "..")}


def test_a_body_that_does_not_unpack_is_tried_again(home):
    shelf, good = Shelf(["1", "2"]), gzip.compress(json.dumps(detail("1")).encode())
    bodies = [b"no gzip at all", good]

    def answer(request):
        if request.url.path != "/api/items/1":
            return shelf(request)
        headers = {"Content-Encoding": "gzip"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(bodies.pop(0)))

    class Raw(CannedTransport):
        """Answers as they are: the canned ones are unpacked."""

        async def handle_async_request(self, request):
            found = answer(request)
            return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    summary, _ = take(Raw({}), home)
    assert (counts(summary), bodies) == (("completed", 2, 2, 0, 0), [])
