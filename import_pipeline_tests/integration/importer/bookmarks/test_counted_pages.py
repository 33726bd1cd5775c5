"""Counted pages whose positions are numbers: the bookmark passes no change that slid onto a page that was read."""

import httpx
import pytest

from import_pipeline import Offset
from import_pipeline.testing import FakeClock
from import_pipeline_tests.support.changes_api import BEGAN, ChangesApi, ChangesSource, Station, source_for
from import_pipeline_tests.support.dying_process import ProcessDied
from import_pipeline_tests.support.imports import latest, settings


class OwnPages(ChangesSource):
    """Writes the request for the next page itself."""

    pages = None

    def list_request(self, page, per_page):
        return httpx.Request("GET", "/items", params={"per_page": per_page})

    def changes_request(self, since, page, per_page):
        return httpx.Request("GET", "/items", params={"since": since, "per_page": per_page})

    def next_request(self, response, page):
        body, sent = response.json(), response.request.url
        if not body["more"]:
            return None
        begin = int(sent.params.get("offset", 0)) + len(body["items"])
        return httpx.Request("GET", "/items", params=dict(sent.params) | {"offset": begin})


class Addresses(OwnPages):
    """Takes the address of the next page, which has its number, from the response."""

    def next_request(self, response, page):
        found = response.json()["next"]
        return found and httpx.Request("GET", found)


class Export(OwnPages):
    """Each page begins at the position of the last item of the page before, which comes again."""

    def next_request(self, response, page):
        body, sent = response.json(), response.request.url
        if not body["more"]:
            return None
        return httpx.Request("GET", "/items", params=dict(sent.params) | {"since": body["items"][-1]["at"]})


class Offsets(ChangesSource):
    pages = Offset(size="per_page", more="more")


COUNTED = [ChangesSource, Offsets, OwnPages, Addresses]
#: The size of pages, the page before which items change, and their ids.
SLIDES = [(1, 5, "04"), (2, 3, "04"), (2, 3, "0123"), (1, 2, "01234"), (3, 2, "034"), (4, 2, "04")]


def open_station(home, kind=ChangesSource, per_page=3, **values):
    """Return an installation whose API has five items, a number each, the oldest first, and a source of that kind."""
    api = ChangesApi(clock=FakeClock(BEGAN), **{"form": "number"} | values)
    api.changes = 1000  # no position is the number of a page
    api.add(*range(5))
    station = Station(settings(home, "https://api.test", ITEMS_TRIES="1", ITEMS_LEASE="86400"), api, source_for(api))
    station.source.__class__, station.source.per_page = kind, per_page
    return station


def before_page(station, number, act):
    """Call `act` before the list page with that number is answered."""
    station.api.page_hook = lambda page: act() if page == number else None


def run(station):
    """Import; check that the bookmark has passed no item that the table lacks. Return the bookmark."""
    summary = station.run()
    assert (summary.status, summary.incomplete_reason) == ("completed", None)
    found = station.stored
    lost = {item.id for item in station.api.items.values() if found.get(item.id) != item.version}
    assert not {each for each in lost if station.api.items[each].place <= int(station.bookmark)}
    return station.bookmark


@pytest.mark.parametrize(
    ("kind", "per_page", "number", "changed"),
    [(ChangesSource, *each) for each in SLIDES] + [(kind, 2, 2, "01234") for kind in COUNTED],
)
def test_a_change_that_slides_onto_a_page_that_was_read_is_not_passed(home, kind, per_page, number, changed):
    """Items move behind all others while a page is requested, so that no item comes twice, and the total is equal."""
    station = open_station(home, kind, per_page)
    before_page(station, number, lambda: [station.api.change(each) for each in changed])
    run(station)
    station.api.page_hook = lambda page: None
    run(station)
    run(station)
    assert station.stored == station.api.live


@pytest.mark.parametrize("kind", COUNTED)
def test_the_pages_after_the_first_come_again_once(home, kind):
    """They cost list requests, but no details; then the bookmark has reached the end."""
    station = open_station(home, kind)
    assert run(station) == "1003"
    assert run(station) == "1005"
    assert station.requests == (1, 0)
    station.api.add(*range(5, 9))
    assert run(station) == "1007"
    assert station.requests == (2, 4)
    assert run(station) == "1009"
    assert station.requests == (1, 0)
    assert run(station) == "1009"
    assert station.requests == (1, 0)


@pytest.mark.parametrize("kind", [ChangesSource, Export], ids=["cursor", "export"])
def test_pages_that_begin_after_an_item_come_once(home, kind):
    station = open_station(home, kind, is_keyset=kind is ChangesSource, has_total=False)
    assert run(station) == "1005"
    assert run(station) == "1005"
    assert station.requests == (1, 0)


def test_an_item_that_is_deleted_without_a_trace_hides_another_in_one_import_only(home):
    station = open_station(home, per_page=2, has_total=False)
    before_page(station, 2, lambda: station.api.items.pop("0"))
    run(station)
    assert "2" not in station.stored
    station.api.page_hook = lambda page: None
    run(station)
    assert station.stored.items() >= station.api.live.items()


@pytest.mark.parametrize("was_imported", [True, False])
@pytest.mark.parametrize("is_restored", [True, False])
def test_a_tombstone_that_moves_hides_no_item(home, was_imported, is_restored):
    """No item row keeps its position: the list is read again, if it comes twice."""
    station = open_station(home, per_page=1, form="time")
    station.api.clock.advance(60)
    station.run()
    key = "0" if was_imported else "7"
    for change in (station.api.change, station.api.delete):
        change(key)
    for each in "12":
        station.api.clock.advance(1)
        station.api.change(each)
    station.api.clock.advance(60)
    before = [item.id for item in station.api.listed(None)].index(key) + 2
    before_page(station, before, lambda: (station.api.change(key), is_restored or station.api.delete(key)))
    station.run()
    assert {each: station.stored[each] for each in "12"} == {each: station.api.live[each] for each in "12"}


def test_the_first_page_of_an_import_counts_after_its_process_died(home):
    station = open_station(home, per_page=1)

    def die():
        station.api.change("0")
        raise ProcessDied

    before_page(station, 2, die)
    with pytest.raises(ProcessDied):
        station.run()
    station.api.clock.advance(100_000)
    station.api.lists.clear()
    before_page(station, 1, lambda: [station.api.change(each) for each in "1234"])
    station.execute(latest(station.settings).id)
    assert (len(station.api.lists), station.bookmark) == (4, "1001")
    station.api.page_hook = lambda page: None
    run(station)
    run(station)
    assert station.stored == station.api.live
