"""Lists that another process resumes: at the next page, or at page 1 if the checkpoint means another list now."""

import json

import httpx
import pytest
from sqlalchemy import text

from import_pipeline.contracts import Connector
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.changing_list import URL, ChangingList, detail
from import_pipeline_tests.support.dying_process import ProcessDied, import_through_deaths
from import_pipeline_tests.support.imports import import_through, latest, rows, settings, tracking

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases

SECRET = "license-of-the-settings-55"


class Searched(ItemsSource):
    """Pages by a cursor, in a body, in a header or in a parameter, with a key in the address."""

    method, key, where = "POST", "license", "body"

    def connector(self, settings):
        self.secret = settings.token
        return Connector(base_url=self.base_url)

    def list_request(self, page, per_page):
        return self.search(None)

    def search(self, cursor):
        params, headers, body = {self.key: self.secret}, {"X-Search": "v2"}, {"filter": "all"}
        if cursor is not None:
            place = {"body": body, "header": headers}.get(self.where, params)
            place["after" if self.where in {"body", "header"} else self.where] = cursor
        content = json.dumps(body) if self.method == "POST" else None
        return httpx.Request(self.method, "/search", params=params, headers=headers, content=content)

    def next_request(self, response, page):
        cursor = response.json()["cursor"]
        return self.search(cursor) if cursor else None


def searched(where, asked):
    """Answer such searches: five pages of two items, by any cursor."""

    def answer(request):
        if request.url.path != "/search":
            return detail(request.url.path.rpartition("/")[2])
        body = json.loads(request.content or "{}")
        cursor = {"body": body, "header": request.headers}.get(where, request.url.params)
        after = int(cursor.get("after" if where in {"body", "header"} else where) or 0)
        asked.append((after, request.headers["X-Search"], request.url.params.get("license")))
        return {"data": [{"id": after + 1}, {"id": after + 2}], "cursor": str(after + 2) if after < 8 else None}

    return answer


def stored_text(configured):
    """Return the stored rows of imports and events as one text."""
    with tracking(configured) as connection:
        tables = [connection.execute(text(f"SELECT * FROM {table}")).all() for table in ("imports", "import_events")]
    return repr(tables)


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("POST", "body"),
        ("GET", "header"),
        *[("GET", name) for name in ("pageToken", "page_token", "key", "session", "token", "cursor", "sig")],
    ],
)
def test_a_list_is_resumed_at_its_next_page_whatever_asks_for_it(home, database_url, method, where):
    asked, configured = [], settings(home, URL, DATABASE_URL=database_url, ITEMS_TOKEN=SECRET)
    source = type("Each", (Searched,), {"method": method, "where": where})()
    seen = []

    def answer(request):
        seen.append(stored_text(configured))
        return searched(where, asked)(request)

    summary, processes = import_through_deaths(answer, source, configured, deaths=[3, 5])
    assert (summary.status, summary.incomplete_reason, processes) == ("completed", None, 3)
    assert asked == [(after, "v2", SECRET) for after in (0, 2, 4, 6, 8)]
    assert len(rows(configured)) == 10
    assert not any(SECRET in each for each in seen)


def take_until_it_dies(answer, source, configured, at):
    asked = 0

    def answer_or_die(request):
        nonlocal asked
        asked += "/items/" not in request.url.path
        if asked == at:
            raise ProcessDied
        return answer(request)

    with pytest.raises(ProcessDied):
        import_through(CannedTransport(answer_or_die), source, configured)


def test_a_renewed_token_is_sent_and_the_list_continues(home):
    asked = []
    take_until_it_dies(searched("body", asked), Searched(), settings(home, URL, ITEMS_TOKEN=SECRET), 3)
    renewed = settings(home, URL, ITEMS_TOKEN="another-license")
    summary = import_through(CannedTransport(searched("body", asked)), Searched(), renewed)
    assert (summary.status, summary.incomplete_reason) == ("completed", None)
    assert [(after, key) for after, _, key in asked] == [
        *[(after, SECRET) for after in (0, 2)],
        *[(after, "another-license") for after in (4, 6, 8)],
    ]


class Sorted(ItemsSource):
    """A list in another order."""

    def list_request(self, page, per_page):
        request = super().list_request(page, per_page)
        return httpx.Request("GET", request.url.copy_merge_params({"sort": "-id"}))


CHANGES = [
    ({"ITEMS_PER_PAGE": "6"}, ItemsSource, "the page size was 3 and is 6"),
    (
        {"ITEMS_BASE_URL": f"{URL}/v2"},
        ItemsSource,
        f"the base address was {URL} and is {URL}/v2/",
    ),
    ({}, Sorted, "its first request is different"),
]


class Sized(ChangingList):
    """A shelf whose pages are as long as they are asked to be, below any base address."""

    def __call__(self, request):
        if not request.url.path.endswith("/items"):
            return detail(request.url.path.rpartition("/")[2])
        self.size = int(request.url.params["perPage"])
        self.pages.append((int(request.url.params["page"]), self.size))
        return self.page(self.pages[-1][0])


@pytest.mark.parametrize(("changed", "source", "reason"), CHANGES, ids=["page size", "address", "order"])
def test_a_list_whose_checkpoint_means_something_else_now_is_read_from_page_one(home, changed, source, reason):
    shelf, before = Sized(range(1, 31)), {"ITEMS_PER_PAGE": "3"}
    take_until_it_dies(shelf, ItemsSource(), settings(home, URL, **before), 5)
    shelf.pages.clear()
    configured = settings(home, URL, **(before | changed))
    summary = import_through(CannedTransport(shelf), source(), configured)
    assert (summary.status, summary.items_count, summary.incomplete_reason) == ("completed", 30, None)
    assert shelf.pages[0][0] == 1
    with tracking(configured) as connection:
        found = connection.exec_driver_sql(
            "SELECT message FROM import_events WHERE action = 'list_restarted'"
        ).scalars()
        assert list(found) == [f"The list is read again from page 1: {reason}."]


def test_a_list_whose_checkpoint_means_the_same_is_resumed(home):
    shelf, configured = Sized(range(1, 31)), settings(home, URL, ITEMS_PER_PAGE="3")
    take_until_it_dies(shelf, ItemsSource(), configured, 5)
    shelf.pages.clear()
    import_through(CannedTransport(shelf), ItemsSource(), configured)
    assert shelf.pages[0][0] > 1


def test_a_checkpoint_of_another_version_means_page_one(home):
    shelf, configured = Sized(range(1, 31)), settings(home, URL, ITEMS_PER_PAGE="3")
    take_until_it_dies(shelf, ItemsSource(), configured, 5)
    database = Database(configured.database_url)
    with database.write() as connection:
        old = {"page": 4, "next_url": f"{URL}/api/items?page=5&perPage=3", "next_method": "GET"}
        connection.execute(text("UPDATE imports SET checkpoint = :old"), {"old": json.dumps(old)})
    database.close()
    shelf.pages.clear()
    summary = import_through(CannedTransport(shelf), ItemsSource(), configured)
    assert (summary.items_count, shelf.pages[0], latest(configured).resumes) == (30, (1, 3), 1)
