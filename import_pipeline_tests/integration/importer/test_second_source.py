"""A new API is one small file: `support/second_source.py`, which knows nothing of the framework but its contracts."""

from collections import Counter
from contextlib import contextmanager

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from import_pipeline import run_import
from import_pipeline.contracts import check_source
from import_pipeline.rules.status import ItemStatus
from import_pipeline.settings import load_settings
from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.imports import counts, ending_of, import_process, rows, served, tracking
from import_pipeline_tests.support.library_api import ODD, SHELVES, TOKEN, Library
from import_pipeline_tests.support.second_source import LIMITS, SOURCES, Book, Shelf

PLENTY = "100000/1 second"


@contextmanager
def library(**options):
    server = Library(**options)
    with served(server.app) as url:
        server.url = url
        yield server


def settings(home, url, limits=PLENTY, **environment):
    shared = {
        "IMPORT_PIPELINE_HOME": str(home),
        "IMPORT_PIPELINE_SOURCES": "import_pipeline_tests.support.second_source:SOURCES",
        **environment,
    }
    for name in ("ITEMS", "BOOKS", "SHELVES"):
        shared |= {f"{name}_BASE_URL": f"{url}/v1", f"{name}_TOKEN": TOKEN, f"{name}_LIMITS": limits}
    return load_settings(shared | environment, home.parent)


def test_its_sources_keep_the_contract():
    assert [check_source(source).name for source in SOURCES] == ["items", "books", "shelves"]


def test_ids_with_any_character_are_imported_by_cursor_behind_a_token(home, database_url):
    with library(limits=PLENTY) as server:
        configured = settings(home, server.url, DATABASE_URL=database_url)
        summary = run_import("books", settings=configured)
        assert counts(summary) == ("completed", 60, 60, 0, 0)
        assert summary.requests_count == 6 + 60
        stored = rows(configured, Book)
        assert sorted(stored) == sorted(server.isbns)
        assert {isbn: (stored[isbn]["title"], stored[isbn]["pages"]) for isbn in ODD} == {
            isbn: (f"About {isbn}", 10 + len(isbn)) for isbn in ODD
        }
        keys = {isbn: row["key"] for isbn, row in stored.items()}

        assert counts(run_import("books", settings=configured)) == ("completed", 60, 60, 0, 0)
        assert {isbn: row["key"] for isbn, row in rows(configured, Book).items()} == keys
        again = run_import("books", settings=configured, only=[*ODD, "unknown/%"])
        assert (counts(again), again.items_gone_count) == (("completed", len(ODD) + 1, len(ODD), 0, 1), 0)


def test_a_row_has_its_history_in_the_user_s_own_session(home):
    with library(limits=PLENTY) as server:
        configured = settings(home, server.url)
        run_import("books", settings=configured, only=["a/b"])
    database = Database(configured.database_url)
    with Session(database.engine) as session:
        book = session.query(Book).filter_by(external_id="a/b").one()
        latest = book.latest_status()
        assert (latest.import_id, latest.status, latest.failure_reason) == (1, ItemStatus.COMPLETED, None)
    database.close()


def test_items_that_are_whole_in_the_list_cost_no_request_of_their_own(home, database_url):
    with library(limits=PLENTY) as server:
        configured = settings(home, server.url, DATABASE_URL=database_url)
        summary = run_import("shelves", settings=configured)
        assert (counts(summary), summary.requests_count) == (("completed", SHELVES, SHELVES, 0, 0), 3)
        assert server.paths == ["/v1/shelves"] * 3
    assert {code: row["room"] for code, row in rows(configured, Shelf).items()} == {
        f"S/{number}": "north" for number in range(SHELVES)
    }


def test_only_the_tables_of_what_is_imported_are_made(home):
    with library(limits=PLENTY) as server:
        configured = settings(home, server.url)
        run_import("shelves", settings=configured)
    with tracking(configured) as connection:
        names = set(inspect(connection).get_table_names())
    assert names & {"library_books", "library_shelves", "imported_items"} == {"library_shelves"}


def test_a_wrong_token_ends_the_import_and_is_shown_nowhere(home):
    with library(limits=PLENTY) as server:
        configured = settings(home, server.url, BOOKS_TOKEN="planted-secret")
        summary = run_import("books", settings=configured)
    assert summary.failure_reason == "list page 1: the API answers 401 Unauthorized: check the token (BOOKS_TOKEN)"
    assert b"planted-secret" not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_sources_of_one_api_are_imported_at_the_same_time_within_its_limits(home, store, request):
    shared = {"REDIS_URL": request.getfixturevalue("redis_url")} if store == "redis" else {}
    with library(limits=LIMITS) as server:
        configured = settings(home, server.url, LIMITS, **shared)
        with import_process(configured, "items") as items, import_process(configured, "books") as books:
            shelves = run_import("shelves", settings=configured)
            assert (ending_of(items), ending_of(books)) == (None, None)
        assert server.refused == 0
        assert len(server.paths) == 1 + 60 + 6 + 60 + 3
        asked = Counter(server.paths)
        assert {path for path, times in asked.items() if times > 1} == {"/v1/books", "/v1/shelves"}
    assert counts(shelves) == ("completed", SHELVES, SHELVES, 0, 0)
    assert (len(rows(configured)), len(rows(configured, Book))) == (60, 60)
