"""All details fetched again: by another revision of the source, once, or by a request. No row is deleted."""

import pytest

from import_pipeline import run_import
from import_pipeline.importer.control.requests import fulfil, request_import
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import events, imports, requests
from import_pipeline.tracking.requests import RequestKind
from import_pipeline_tests.integration.importer.execution.test_reimport import Asked, Tagged, TaggedServer, change
from import_pipeline_tests.support.imports import (
    counts,
    demo_api,
    import_process,
    latest,
    rows,
    served,
    settings,
    tracking,
)

pytestmark = pytest.mark.by_turns  # both kinds run the statements of these imports, each in some of the cases


class Second(ItemsSource):
    """The items, in a second revision."""

    revision = 2


SECOND = [Second()]


def noted(configured):
    """Return what the newest import notes about revisions."""
    with tracking(configured) as connection:
        found = events.latest(connection, latest(configured).id)
    return [message for _, action, message in found if action == "revision_changed"]


def test_another_revision_fetches_all_details_once_and_keeps_every_row(home, database_url, tmp_path):
    file = tmp_path / "api.db"
    with demo_api(items=20, database=file) as url:
        configured, asked = settings(home, url, DATABASE_URL=database_url), Asked(url)

        def imported(source):
            return counts(run_import("items", settings=configured, sources=[source]))

        assert imported(ItemsSource()) == ("completed", 20, 20, 0, 0)
        change(file, "DELETE FROM api_items WHERE id = 3")
        asked.details()
        assert imported(Second()) == ("completed", 19, 19, 0, 0)
        assert len(asked.details()) == 19
        assert noted(configured) == [
            "Second.revision is 2 and was 1: all details are fetched again, once. The stored versions of 20 items are "
            "forgotten; no row is deleted."
        ]
        assert imported(Second()) == ("completed", 19, 0, 19, 0)
        assert (noted(configured), asked.details()) == ([], [])
        assert imported(ItemsSource()) == ("completed", 19, 19, 0, 0), "a lower number is another one, too"
        assert len(rows(configured)) == 20


def test_a_new_source_begins_with_its_revision_and_forgets_nothing(home, database_url):
    with demo_api(items=5) as url:
        configured = settings(home, url, DATABASE_URL=database_url)
        for expected in (("completed", 5, 5, 0, 0), ("completed", 5, 0, 5, 0)):
            assert counts(run_import("items", settings=configured, sources=[Second()])) == expected
            assert noted(configured) == []


def test_what_one_import_did_not_fetch_again_the_next_one_does(home, database_url):
    with demo_api(items=20) as url:
        configured, asked = settings(home, url, DATABASE_URL=database_url), Asked(url)
        run_import("items", settings=configured)
        asked.details()
        run_import("items", settings=configured, sources=[Second()], limit=5)
        assert asked.details() == ["1", "2", "3", "4", "5"]
        assert counts(run_import("items", settings=configured, sources=[Second()])) == ("completed", 20, 15, 5, 0)
        assert len(asked.details()) == 15


def test_a_killed_import_resumes_and_forgets_nothing_again(home, database_url):
    with demo_api(items=40, delay_before_ms=20) as url:
        listed = f"{__name__}:SECOND"
        configured = settings(home, url, DATABASE_URL=database_url, IMPORT_PIPELINE_SOURCES=listed)
        asked = Asked(url)
        run_import("items", settings=configured, sources=[ItemsSource()])
        asked.details()
        got = []
        with import_process(configured) as process:
            while len(got) < 12:
                assert process.is_alive()
                got += asked.details()
        assert counts(run_import("items", settings=configured)) == ("completed", 40, 40, 0, 0)
        got += asked.details()
        assert set(got) == {str(number) for number in range(1, 41)}
        assert len(got) <= 40 + 10, "only what was in flight is repeated"
        assert len(noted(configured)) == 1
        assert counts(run_import("items", settings=configured)) == ("completed", 40, 0, 40, 0)


class TaggedAgain(Tagged):
    """The items of the server with ETags, in a second revision."""

    revision = 2


@pytest.mark.parametrize(("source", "options"), [(TaggedAgain, {}), (Tagged, {"refetch": True})])
def test_no_tag_is_sent_when_all_is_fetched_again(home, database_url, source, options):
    server = TaggedServer()
    with served(server.app) as url:
        configured = settings(home, url, DATABASE_URL=database_url)
        run_import("items", settings=configured, sources=[Tagged()])
        server.taken()
        again = run_import("items", settings=configured, sources=[source()], **options)
        assert counts(again) == ("completed", 3, 3, 0, 0)
        assert {given for _, given, _ in server.taken()} == {None}
        assert counts(run_import("items", settings=configured, sources=[source()])) == ("completed", 3, 0, 3, 0)


def test_a_refetch_fetches_unchanged_items_and_deletes_nothing(home, database_url, tmp_path):
    file = tmp_path / "api.db"
    with demo_api(items=20, database=file) as url:
        configured, asked = settings(home, url, DATABASE_URL=database_url), Asked(url)
        run_import("items", settings=configured)
        change(file, "DELETE FROM api_items WHERE id = 3")
        asked.details()
        assert counts(run_import("items", settings=configured, refetch=True)) == ("completed", 19, 19, 0, 0)
        assert len(asked.details()) == 19
        assert len(rows(configured)) == 20
        assert counts(run_import("items", settings=configured)) == ("completed", 19, 0, 19, 0)


def test_an_item_that_a_refetch_could_not_fetch_is_fetched_by_the_next_import(home, database_url):
    server = TaggedServer()

    class Versioned(Tagged):
        conditional = False

        def version(self, item):
            return "1"

        def detail(self, response):
            if response.json()["name"] == "revision 2":
                raise ValueError("not readable yet")
            return response.json()

    with served(server.app) as url:
        configured = settings(home, url, DATABASE_URL=database_url)

        def imported(**options):
            return counts(run_import("items", settings=configured, sources=[Versioned()], **options))

        assert imported() == ("completed", 3, 3, 0, 0)
        server.revisions["2"] = 2
        assert imported(refetch=True) == ("completed", 3, 2, 0, 1)
        server.revisions["2"] = 3
        assert imported() == ("completed", 3, 1, 2, 0)


def test_a_requested_refetch_is_one_request_and_fetches_all(home, database_url):
    with demo_api(items=5) as url:
        configured = settings(home, url, DATABASE_URL=database_url)
        run_import("items", settings=configured)
        with open_installation(configured) as installation:
            source = installation.source("items")
            first, second = (
                request_import(installation, source, RequestKind.NEW, refetch=True, by="Ada") for _ in range(2)
            )
            other = request_import(installation, source, RequestKind.NEW, by="Ada")
            assert second.id == first.id != other.id
            with installation.database.write() as connection:
                [request, _] = requests.waiting(connection, "items")
                fulfil(connection, source, request, installation.clock.now())
            with installation.database.read() as connection:
                made = imports.latest(connection, limit=1)[0]
            summary = execute_import(ImportRun(installation=installation, source=source), made.id)
    assert counts(summary) == ("completed", 5, 5, 0, 0)
