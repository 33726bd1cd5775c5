"""The end of a list: its continuation decides, whatever the pages hold; every other end says why."""

import httpx
import pytest

from import_pipeline import next_link
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.changing_list import ChangingList, detail, import_list
from import_pipeline_tests.support.imports import counts, rows, tracking


class ByCursor(ItemsSource):
    """Follows a cursor in the body."""

    def next_request(self, response, page):
        cursor = response.json().get("next")
        return httpx.Request("GET", "/api/items", params={"cursor": cursor}) if cursor else None


class ByHttpxLinks(ItemsSource):
    """Follows the Link header as far as httpx reads it."""

    def next_request(self, response, page):
        link = response.links.get("next")
        return httpx.Request("GET", link["url"]) if link else None


class ByLink(ItemsSource):
    """Follows the Link header."""

    def next_request(self, response, page):
        link = next_link(response)
        return httpx.Request("GET", link) if link else None


class Uncounted(ItemsSource):
    """A numbered list without a total."""

    def has_next_page(self, response):
        return response.json()["more"]

    def total(self, response):
        return None


def names(*ids):
    return [{"id": each, "name": "n"} for each in ids]


def script(pages, asked, key="cursor"):
    """Answer each cursor with the next of its pages; the last one stays."""
    left = {cursor: list(each) if isinstance(each, list) else [each] for cursor, each in pages.items()}

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        cursor = request.url.params.get(key)
        asked.append(cursor)
        return left[cursor].pop(0) if len(left[cursor]) > 1 else left[cursor][0]

    return answer


def by_cursor(home, pages, source=None, key="cursor"):
    """The summary, the ids that were stored, and the cursors asked for."""
    asked = []
    summary, configured = import_list(script(pages, asked, key), home, source or ByCursor())
    return summary, sorted(map(int, rows(configured))), asked, configured


def events_of(configured):
    with tracking(configured) as connection:
        return [
            tuple(row) for row in connection.exec_driver_sql("SELECT action, message FROM import_events ORDER BY id")
        ]


@pytest.mark.parametrize("empties", [1, 5, 60])
def test_pages_without_items_that_name_a_next_one_are_no_end(home, empties):
    pages = {None: {"data": names(1, 2), "next": "0"}}
    pages |= {str(n): {"data": [], "next": str(n + 1)} for n in range(empties)}
    pages[str(empties)] = {"data": names(3, 4)}
    summary, ids, asked, _ = by_cursor(home, pages)
    assert (ids, summary.incomplete_reason, len(asked)) == ([1, 2, 3, 4], None, empties + 2)


def test_a_numbered_list_with_holes_is_read_whole(home):
    pages = {"1": {"data": [], "more": True}, "2": {"data": names(1), "more": True}, "3": {"data": [], "more": True}}
    pages["4"] = {"data": names(2), "more": False}
    summary, ids, asked, _ = by_cursor(home, pages, Uncounted(), key="page")
    assert (ids, summary.incomplete_reason, asked) == ([1, 2], None, ["1", "2", "3", "4"])


NO_CONTENT = httpx.Response(204)


@pytest.mark.parametrize("status", [204, 205])
@pytest.mark.parametrize(
    ("pages", "ids"),
    [
        ({"1": None}, []),
        ({"1": ([1, 2], True), "2": None, "3": None}, [1, 2]),
        ({"1": ([1, 2], True), "2": None, "3": ([3], False)}, [1, 2, 3]),
        ({"1": ([1, 2], True), "2": None, "3": 404}, [1, 2]),
        ({"1": ([1, 2], True), "2": None, "3": ([], True), "4": ([3], False)}, [1, 2, 3]),
    ],
)
def test_a_page_without_a_body_is_empty_and_ends_a_numbered_list_only_if_the_next_one_is_none(home, status, pages, ids):
    def answer(page):
        if page is None or isinstance(page, int):
            return httpx.Response(page or status)
        return {"data": names(*page[0]), "more": page[1]}

    summary, found, asked, _ = by_cursor(
        home, {number: answer(page) for number, page in pages.items()}, Uncounted(), key="page"
    )
    assert (found, summary.status, summary.incomplete_reason) == (ids, "completed", None)
    assert asked == list(pages)


def test_a_page_without_a_body_may_name_a_next_one_in_its_link_header(home):
    link = {"Link": '</api/items?cursor=c>; rel="next"'}
    pages = {
        None: httpx.Response(200, json={"data": names(1)}, headers={"Link": '<?cursor=b>; rel="next"'}),
        "b": httpx.Response(204, headers=link),
        "c": {"data": names(2)},
    }
    summary, ids, _, _ = by_cursor(home, pages, ByLink())
    assert (ids, summary.incomplete_reason) == ([1, 2], None)


def test_a_list_by_cursor_that_ends_without_a_body_short_of_its_total_says_so(home):
    pages = {None: {"data": names(1), "next": "b", "total": 3}, "b": NO_CONTENT}
    summary, ids, _, _ = by_cursor(home, pages)
    assert (ids, summary.incomplete_reason) == ([1], "the list says 3 items, 1 were found on its pages")


def test_a_list_that_is_not_ready_yet_is_requested_again(home):
    pages = {
        None: [httpx.Response(202), {"data": names(1), "next": "b"}],
        "b": [httpx.Response(202), {"data": names(2)}],
    }
    summary, ids, asked, _ = by_cursor(home, pages)
    assert (ids, summary.incomplete_reason, asked) == ([1, 2], None, [None, None, "b", "b"])


def test_a_list_that_never_gets_ready_fails_with_the_reason(home):
    summary, _, asked, _ = by_cursor(home, {None: httpx.Response(202, json={"data": []})})
    reason = "list page 1: the API answers 202 Accepted: the list is not ready yet, 3 times"
    assert (summary.status, summary.failure_reason, len(asked)) == ("failed", reason, 3)


def linked(written):
    return httpx.Response(200, json={"data": names(1)}, headers={"Link": written})


FORMS = ['<?cursor=b>; rel="next last"', "<?cursor=b>; rel=NEXT", '<?cursor=b>; title="a, b"; rel="next"']


@pytest.mark.parametrize("written", FORMS)
def test_a_next_link_that_a_source_does_not_find_makes_the_import_incomplete(home, written):
    summary, ids, _, _ = by_cursor(home, {None: linked(written), "b": {"data": names(2)}}, ByHttpxLinks())
    sentence = "page 1 names a next page in its Link header, which the source did not find"
    assert (ids, summary.incomplete_reason) in [([1], sentence), ([1, 2], None)]
    assert (ids, summary.incomplete_reason) != ([1, 2], sentence)


@pytest.mark.parametrize("written", FORMS)
def test_the_helper_finds_every_next_link(home, written):
    summary, ids, _, _ = by_cursor(home, {None: linked(written), "b": {"data": names(2)}}, ByLink())
    assert (ids, summary.incomplete_reason) == ([1, 2], None)


@pytest.mark.parametrize(
    ("more", "sign"),
    [
        ({"paging": {"next": "/api/items?cursor=b"}}, "next"),
        ({"nextPageToken": "b"}, "nextpagetoken"),
        ({"has_more": True}, "has_more"),
    ],
)
def test_a_next_page_in_a_field_that_the_source_does_not_read_makes_the_import_incomplete(home, more, sign):
    summary, _, _, _ = by_cursor(home, {None: {"data": names(1)} | more})
    expected = f"page 1 names a next page in its field {sign}, which the source did not find"
    assert summary.incomplete_reason == expected


class UntilEmpty(ItemsSource):
    """Numbered pages up to the first one without items."""

    def has_next_page(self, response):
        return bool(response.json()["data"])

    def total(self, response):
        return None


def numbered(page_answer):
    """Answer the list with `page_answer(page)`, and each item with its details."""

    def answer(request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        return page_answer(int(request.url.params.get("page", 1)))

    return answer


@pytest.mark.parametrize(
    ("signs", "reason"),
    [
        ({"has_more": True}, "page 2 names a next page in its field has_more, which the source did not find"),
        ({"meta": {"hasNext": True}}, "page 2 names a next page in its field hasnext, which the source did not find"),
        ({"has_more": False}, None),
        ({"next_page": 3}, None),
        ({}, None),
    ],
)
def test_an_empty_page_that_says_more_follow_makes_a_numbered_list_incomplete(home, signs, reason):
    def answer(page):
        return httpx.Response(200, json={"data": names(1, 2) if page == 1 else []} | signs)

    summary, configured = import_list(numbered(answer), home, UntilEmpty())
    assert (len(rows(configured)), summary.incomplete_reason) == (2, reason)


@pytest.mark.parametrize("seen", [0, 1])
def test_a_next_link_on_the_empty_page_of_a_numbered_list_raises_no_alarm(home, seen):
    def answer(page):
        link = f'</api/items?page={page + 1}>; rel="next"'
        return httpx.Response(200, json={"data": names(1) if page <= seen else []}, headers={"Link": link})

    summary, configured = import_list(numbered(answer), home, UntilEmpty())
    assert (len(rows(configured)), summary.incomplete_reason) == (seen, None)


def test_a_list_that_has_brought_its_total_is_at_its_end_whatever_else_it_names(home):
    summary, _, _, _ = by_cursor(home, {None: {"data": names(1, 2), "total": 2, "paging": {"next": "b"}}})
    assert summary.incomplete_reason is None


def test_a_short_page_in_a_numbered_list_is_said_once(home):
    source = type("Larger", (ItemsSource,), {"per_page": 5})()
    summary, configured = import_list(ChangingList(range(1, 10)), home, source)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 9, 9, 0, 0), None)
    said = [message for action, message in events_of(configured) if action == "list_page_short"]
    assert said == [
        "Page 1 of the list has 3 items instead of the requested 5, and is not the last: the API may return at "
        "most 3 per page."
    ]


def test_a_list_without_short_pages_but_the_last_says_nothing(home):
    source = type("Fitting", (ItemsSource,), {"per_page": 3})()
    _, configured = import_list(ChangingList(range(1, 9)), home, source)
    assert [action for action, _ in events_of(configured)] == ["import_started", "import_completed"]


@pytest.mark.parametrize("cap", [1, 3, 6])
def test_a_total_that_is_capped_refutes_itself_and_not_the_list(home, cap):
    shelf = ChangingList(range(1, 10))

    def answer(request):
        body = shelf(request)
        return body | {"total": cap} if "data" in body else body

    summary, configured = import_list(answer, home)
    assert (counts(summary), summary.incomplete_reason) == (("completed", 9, 9, 0, 0), None)
    assert (shelf.pages, len(rows(configured))) == ([1, 2, 3], 9)


def test_a_cursor_that_repeats_its_name_and_moves_on_is_followed(home):
    pages = {None: {"data": names(1), "next": "s"}}
    pages["s"] = [{"data": names(n), "next": "s"} for n in range(2, 30)] + [{"data": names(30)}]
    summary, ids, _, _ = by_cursor(home, pages)
    assert (ids, summary.incomplete_reason) == (list(range(1, 31)), None)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_circle_of_cursors_ends_as_incomplete(home, length, is_empty):
    pages = {None: {"data": names(100), "next": "0"}}
    for n in range(length):
        pages[str(n)] = {"data": [] if is_empty else names(n), "next": str((n + 1) % length)}
    summary, ids, asked, _ = by_cursor(home, pages)
    assert (len(ids), summary.status) == (1 if is_empty else 1 + length, "completed")
    assert summary.incomplete_reason.startswith("the list repeats itself: ")
    assert len(asked) <= 3 * (length + 1)


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_cursor_that_has_expired_restarts_the_list_once(home, status):
    pages = {None: {"data": names(1), "next": "b"}, "b": {"data": names(2), "next": "c"}}
    pages["c"] = [httpx.Response(status), {"data": names(3)}]
    summary, ids, asked, configured = by_cursor(home, pages)
    assert (ids, summary.status, summary.incomplete_reason) == ([1, 2, 3], "completed", None)
    assert asked == [None, "b", "c"] * 2
    [said] = [message for action, message in events_of(configured) if action == "list_restarted"]
    assert said.startswith(f"The list is read again from page 1: list page 3: the API answers {status} ")


def test_a_cursor_that_expires_again_ends_the_list_as_incomplete(home):
    pages = {None: {"data": names(1), "next": "b"}, "b": httpx.Response(410)}
    summary, ids, asked, _ = by_cursor(home, pages)
    assert (ids, summary.status, asked) == ([1], "completed", [None, "b"] * 2)
    assert summary.incomplete_reason == (
        "list page 2: the API answers 410 Gone: it has no such page (anymore), also after the list was read again"
    )


def test_a_refused_page_behind_a_total_that_is_capped_makes_the_import_incomplete(home):
    pages = {"1": {"data": names(1, 2), "more": True, "total": 2}, "2": httpx.Response(400)}
    source = type("Counted", (Uncounted,), {"total": ItemsSource.total})()
    summary, ids, asked, _ = by_cursor(home, pages, source, key="page")
    assert (ids, asked) == ([1, 2], ["1", "2"] * 2)
    assert summary.incomplete_reason.startswith("list page 2: the API answers 400 Bad Request")


def test_a_first_page_that_is_refused_fails_the_import(home):
    summary, _, asked, _ = by_cursor(home, {None: httpx.Response(410)})
    assert (summary.status, asked) == ("failed", [None])


LINKS = [
    "/api/v1/api/items?cursor=b",
    "?cursor=b",
    "items?cursor=b",
    "../api/items?cursor=b",
    "//api.test/api/v1/api/items?cursor=b",
    "https://api.test/api/v1/api/items?cursor=b",
    "/api/items?cursor=b",
]


class ByAddress(ItemsSource):
    """Follows an address in the body, as it is."""

    def next_request(self, response, page):
        link = response.json().get("next")
        return httpx.Request("GET", link) if link else None


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("base", ["https://api.test/api/v1", "https://api.test/api/v1/"])
def test_a_link_is_relative_to_its_page_and_a_path_of_the_sources_to_its_base(home, link, base):
    asked = []

    def answer(request):
        if not request.url.path.endswith("/items"):
            return detail(request.url.path.rpartition("/")[2])
        asked.append(request.url.path)
        return {"data": names(2)} if request.url.params.get("cursor") == "b" else {"data": names(1), "next": link}

    summary, configured = import_list(answer, home, ByAddress(), ITEMS_BASE_URL=base)
    assert (sorted(rows(configured)), summary.incomplete_reason) == (["1", "2"], None)
    assert asked == ["/api/v1/api/items"] * 2
