"""Incremental imports: what they request, where the bookmark goes, and what they never lose."""

import pytest

from import_pipeline.importer.bookmarks.control import set_bookmark
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.testing import FakeClock
from import_pipeline_tests.support.changes_api import BEGAN, ChangesApi, Station, source_for
from import_pipeline_tests.support.imports import latest, settings


@pytest.fixture
def station(home):
    return open_station(home)


def open_station(home, source_values=None, **values):
    """Return an installation whose API has ten items, all older than a minute."""
    api = ChangesApi(clock=FakeClock(BEGAN), **values)
    api.add(*range(10))
    api.clock.advance(60)
    return Station(
        settings(home, "https://api.test", ITEMS_TRIES="1", ITEMS_LEASE="86400"),
        api,
        source_for(api, **source_values or {}),
    )


@pytest.mark.parametrize("form", ["time", "number"])
@pytest.mark.parametrize("order", ["oldest_first", "newest_first", None])
@pytest.mark.parametrize("is_keyset", [False, True], ids=["numbered", "cursor"])
def test_a_second_import_without_changes_costs_at_most_two_list_requests(home, form, order, is_keyset):
    station = open_station(home, form=form, order=order, is_keyset=is_keyset)
    first = station.run()
    assert (first.status, first.items_imported_count, station.requests) == ("completed", 10, (4, 10))
    station.api.clock.advance(60)
    station.api.change("3")
    station.api.clock.advance(60)
    station.run()
    station.api.clock.advance(60)
    again = station.run()
    assert latest(station.settings).kind == "incremental"
    assert (again.status, again.incomplete_reason, again.items_imported_count) == ("completed", None, 0)
    lists, details = station.requests
    assert (lists <= 2, details) == (True, 0)
    assert station.stored == station.api.live


def test_another_revision_reads_the_whole_list_once_even_after_an_import_with_a_limit(station):
    station.run()
    station.source.revision = 2
    station.api.clock.advance(60)
    assert station.run(limit=3).items_imported_count == 3
    station.api.clock.advance(60)
    again = station.run()
    assert (latest(station.settings).kind, again.items_imported_count, again.items_unchanged_count) == ("full", 7, 3)
    station.api.clock.advance(60)
    station.run()
    assert (latest(station.settings).kind, station.requests[1]) == ("incremental", 0)


def test_a_refetch_reads_the_whole_list_in_that_import_only(station):
    station.run()
    station.api.clock.advance(60)
    assert station.run(refetch=True).items_imported_count == 10
    assert latest(station.settings).kind == "full"
    station.api.clock.advance(60)
    station.run()
    assert (latest(station.settings).kind, station.requests[1]) == ("incremental", 0)


def test_a_bookmark_that_the_api_no_longer_accepts_leads_to_a_full_import(station):
    station.run()
    before, station.api.refuses_since = station.bookmark, 410
    refused = station.run()
    assert (refused.status, station.bookmark) == ("failed", None)
    said = f"list page 1: the API answers 410 Gone: it no longer accepts the bookmark {before}. "
    assert refused.failure_reason == f"{said}The next import reads the whole list"
    station.api.clock.advance(60)
    assert (station.run().status, latest(station.settings).kind, station.bookmark) == ("completed", "full", before)


def test_a_bookmark_that_a_person_sets_meanwhile_stays_although_the_api_refuses_the_old_one(station):
    station.run()
    station.api.refuses_since, station.api.hook = 410, lambda number: set_by_person(station, "2030-01-01T00:00:00Z")
    assert station.run().failure_reason.endswith(". A person has set another one meanwhile")
    assert station.bookmark == "2030-01-01T00:00:00Z"


def set_by_person(station, value):
    with open_installation(station.settings, configure([station.source], station.settings)) as installation:
        set_bookmark(installation, installation.source("items"), value)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_that_may_concern_the_bookmark_says_how_to_reset_it(station, status):
    station.run()
    before, station.api.refuses_since = station.bookmark, status
    said = f"If it no longer accepts the bookmark {before}, reset it: import-pipeline bookmark items --reset"
    assert station.run().failure_reason.endswith(said)
    assert station.bookmark == before
