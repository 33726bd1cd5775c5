"""The examples for other styles of API, in process: rows that are whole in the list."""

import json

import httpx

from import_pipeline.examples.shapes.lines import Book, Books
from import_pipeline_tests.support.imports import counts, import_through, reasons, rows, settings

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
