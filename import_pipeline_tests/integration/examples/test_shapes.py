"""The examples for other styles of API, in process: rows that are whole in the list, events of one item."""

import json
from dataclasses import replace

import httpx
from sqlalchemy import select

from import_pipeline import run_import
from import_pipeline.examples.shapes.last_id import Customer
from import_pipeline.examples.shapes.lines import Book, Books
from import_pipeline.settings import load_settings
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.imports import counts, import_through, reasons, rows, settings, tracking
from import_pipeline_tests.support.shapes import CASES

LINES = [{"id": number, "title": f"title {number}", "price": "1.00"} for number in (1, 2, 3)]


def answer(request):
    assert request.url.path == "/stories.ndjson"
    is_first = request.url.params["page"] == "1"
    return httpx.Response(200, text="\n".join(map(json.dumps, LINES if is_first else [])))


def imported(home, **values):
    configured = settings(home, "", BOOKS_BASE_URL="https://api.test", BOOKS_LIMITS="1000/1 second")
    return import_through(httpx.MockTransport(answer), Books(), configured, **values), configured


def test_rows_without_methods_for_details_are_stored_as_the_list_has_them(home):
    summary, configured = imported(home)
    assert (counts(summary), summary.requests_count) == (("completed", 3, 3, 0, 0), 2)
    assert {key: row["title"] for key, row in rows(configured, Book).items()} == {
        "1": "title 1",
        "2": "title 2",
        "3": "title 3",
    }


def test_such_an_item_cannot_be_imported_by_itself(home):
    summary, configured = imported(home, only=["2"])
    assert counts(summary) == ("completed", 1, 0, 0, 1)
    assert reasons(configured) == {"2": "Book has no detail_request: only the list has this item"}


def test_an_item_that_only_a_window_of_changes_listed_is_gone_once_no_slice_has_it(home, database_url):
    """A full import lists other slices than the window of an incremental one."""
    [case] = [each for each in CASES if each.source == "contacts"]
    with case.served(items=12, limits="1000/1 second") as (shape, environment):
        values = {"IMPORT_PIPELINE_HOME": str(home), "DATABASE_URL": database_url, **environment}
        values["CONTACTS_LIMITS"] = "1000/1 second; /contacts/search: 1000/1 second"
        configured = load_settings(values, home.parent)
        run_import("contacts", settings=configured)
        shape.change(update=[7, 8], add=1)
        run_import("contacts", settings=configured)
        shape.change(delete=[7, 13])
        summary = run_import("contacts", settings=configured, full=True)
        assert (summary.status, summary.items_gone_count, shape.counters.refusals) == ("completed", 2, [])
    assert gone(configured) == ["13", "7"]


def gone(configured):
    """Return the ids of items that are gone."""
    with tracking(configured) as connection:
        found = select(source_items.c.external_id).where(source_items.c.gone_at.is_not(None))
        return sorted(connection.scalars(found))


def test_an_inclusive_cursor_is_read_once(home, database_url):
    """Each page begins with the last moment of the page before: its items come again, and nothing has moved."""
    [case] = [replace(each, limits="1000/1 second") for each in CASES if each.source == "tickets"]
    with case.served() as (shape, environment):
        values = {"IMPORT_PIPELINE_HOME": str(home), "DATABASE_URL": database_url, **environment}
        summary = run_import("tickets", settings=load_settings(values, home.parent))
        assert (summary.status, summary.incomplete_reason, summary.items_count) == ("completed", None, 50)
        assert (shape.counters.kinds["list"], shape.counters.refusals) == (3, [])


def test_of_several_events_of_one_customer_the_newest_counts_on_whichever_pages_they_are(home, database_url):
    """The list of events is newest first: an older one on a later page would bring back an old state."""
    [case] = [replace(each, per_page=2, limits="1000/1 second") for each in CASES if each.source == "customers"]
    with case.served(items=12) as (shape, environment):
        values = {"IMPORT_PIPELINE_HOME": str(home), "DATABASE_URL": database_url, **environment}
        configured = load_settings(values, home.parent)
        run_import("customers", settings=configured)
        for change in ({"update": [3, 4]}, {"update": [3, 5]}, {"update": [4]}, {"delete": [4]}, {"update": [3]}):
            shape.change(**change)
        lists = shape.counters.kinds["list"]
        summary = run_import("customers", settings=configured)
        assert (summary.status, summary.incomplete_reason) == ("completed", None)
        assert shape.counters.kinds["list"] - lists == 4  # seven events; the list is read once
        expected = case.expected(shape)
    stored = {key: (key, row["name"], row["balance"]) for key, row in rows(configured, Customer).items()}
    assert {key: stored[key] for key in expected} == expected
    assert gone(configured) == ["cus_4"]
