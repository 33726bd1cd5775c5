"""Sources that misread a list and items that cannot be read: the reason names the place, and no other item fails."""

import gzip
import json

import httpx
import pytest

from import_pipeline.ratelimit.http.aiohttp_transport import open_connections
from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.changing_list import ChangingList, detail, import_list
from import_pipeline_tests.support.imports import (
    counts,
    demo_api,
    import_through,
    reasons,
    reasons_without_place,
    rows,
    settings,
    without_place,
)


def broken(method, error):
    def fail(*_):
        raise error

    return type("Broken", (ItemsSource,), {method: fail})()


MISTAKES = [
    ("next_request", KeyError("next"), "Broken.next_request raises KeyError: 'next'"),
    ("total", TypeError("no number"), "Broken.total raises TypeError: no number"),
]


@pytest.mark.parametrize(("method", "error", "sentence"), MISTAKES)
def test_a_mistake_of_the_source_ends_the_import_with_its_place(home, method, error, sentence):
    summary, _ = import_list(ChangingList(range(9)), home, broken(method, error))
    assert (summary.status, without_place(summary.failure_reason)) == ("failed", sentence)


@pytest.mark.parametrize("total", ["12", -1, 1.5, True, float("nan"), 10**30])
def test_a_total_that_is_none_ends_the_import_with_its_place(home, total):
    source = type("Odd", (ItemsSource,), {"total": lambda self, response: total})()
    summary, _ = import_list(ChangingList(range(9)), home, source)
    expected = f"Odd.total must return a whole number from 0, or None, got {total!r}"
    assert without_place(summary.failure_reason) == expected


def test_a_stub_of_another_class_is_its_items_failure(home):
    class Odd(ItemsSource):
        def stub(self, item):
            return None if item["id"] == 4 else super().stub(item)

    summary, configured = import_list(ChangingList(range(9)), home, Odd())
    assert counts(summary) == ("completed", 9, 8, 0, 1)
    reason = "Odd.stub must return a new ImportedItem, got None"
    assert reasons_without_place(configured) == {"(page 2, item 2)": reason}


def test_a_list_item_that_cannot_be_read_fails_by_its_place_and_no_other_suffers(home):
    data = [{"id": 1}, {"name": "no id"}, "no object", {"id": "x" * 256}, {"id": "a\0b"}, {"id": "\ud800"}, {"id": 7}]

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        return httpx.Response(200, content=json.dumps({"data": data, "current_page": 1, "last_page": 1, "total": 7}))

    summary, configured = import_list(answer, home)
    assert (counts(summary), summary.exit_status) == (("completed", 7, 2, 0, 5), 3)
    expected = "ItemsSource.stub must return an external_id of 1 to 255 characters, got"
    assert reasons_without_place(configured) == {
        "(page 1, item 2)": "ItemsSource.stub raises KeyError: 'id'; it has name",
        "(page 1, item 3)": "ItemsSource.stub raises TypeError: string indices must be integers, not 'str'",
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
    summary, configured = import_list(ChangingList(["1", "a\nb", "3"]), home, Careless())
    assert counts(summary) == ("completed", 3, 2, 0, 1)
    [(external_id, reason)] = reasons(configured).items()
    assert external_id == "a\nb"
    assert reason.startswith("Item.detail_request raises InvalidURL: Invalid non-printable ASCII character in URL")


class Talkative(ItemsSource):
    """Sends each item's id in a header."""

    class Spoken(ImportedItem):
        def detail_request(self):
            headers = {"X-Id": str(self.external_id)}
            return httpx.Request("GET", "/api/items/1", headers=headers)

    model = Spoken

    def stub(self, item):
        return self.Spoken(external_id=item["id"], name="n")


class Half(httpx.AsyncBaseTransport):
    """The list is canned; details go over real connections."""

    def __init__(self, ids):
        self.ids, self.real = ids, open_connections(limit=2)

    async def handle_async_request(self, request):
        if "X-Id" in request.headers:
            return await self.real.handle_async_request(request)
        data = [{"id": each} for each in self.ids]
        return httpx.Response(200, json={"data": data, "current_page": 1, "last_page": 1, "total": len(data)})

    async def aclose(self):
        await self.real.aclose()


def test_an_id_that_breaks_a_header_fails_alone(home):
    ids = ["1", "a\r\nX-Evil: 1", "b\nc", "\u20ac", "2"]
    with demo_api(items=1) as url:
        configured = settings(home, url)
        summary = import_through(Half(ids), Talkative(), configured)
    assert counts(summary) == ("completed", 5, 2, 0, 3)
    assert sorted(reasons(configured)) == sorted(ids[1:4])


def test_an_id_that_means_a_folder_fails_alone_and_says_so(home):
    summary, configured = import_list(ChangingList(["..", "...", "."]), home)
    assert counts(summary) == ("completed", 3, 1, 0, 2)
    sentence = (
        "ImportedItem.detail_request raises ValueError: {!r} cannot be requested: in a URL path it means a folder"
    )
    assert reasons_without_place(configured) == {each: sentence.format(each) for each in (".", "..")}


def test_a_body_that_does_not_unpack_is_tried_again(home):
    shelf, good = ChangingList(["1", "2"]), gzip.compress(json.dumps(detail("1")).encode())
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

    summary, _ = import_list(Raw({}), home)
    assert (counts(summary), bodies) == (("completed", 2, 2, 0, 0), [])
