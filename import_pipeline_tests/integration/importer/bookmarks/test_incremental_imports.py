"""Incremental imports: what they request, where the bookmark goes, and what they never lose."""

import pytest

from import_pipeline.testing import FakeClock
from import_pipeline.tracking.lists import bookmarks
from import_pipeline_tests.support.changes_api import BEGAN, ChangesApi, Station, source_for
from import_pipeline_tests.support.imports import latest, rows, settings, tracking


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


def bookmark(station):
    with tracking(station.settings) as connection:
        return bookmarks.of_source(connection, "items").value


def stored(station):
    return {key: int(row["price"] or 0) for key, row in rows(station.settings).items()}


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
    assert stored(station) == station.api.live


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
