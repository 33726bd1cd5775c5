"""The moves of a bookmark: reasons to move, reasons to stay, and changes that it never passes."""

from datetime import timedelta

import pytest

from import_pipeline import ImportSource, Incremental
from import_pipeline.importer.bookmarks.control import set_bookmark, show_bookmark
from import_pipeline.importer.control import deletion, retries
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import ImportKind
from import_pipeline.testing import FakeClock
from import_pipeline.tracking import events, imports
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.changes_api import BEGAN, ChangesApi, Station, source_for
from import_pipeline_tests.support.imports import latest, reasons, settings, tracking


def open_station(home, **values):
    """Return an installation whose API has five items, a number each, the oldest first."""
    api = ChangesApi(clock=FakeClock(BEGAN), **{"form": "number"} | values)
    api.add(*range(5))
    api.clock.advance(60)
    return Station(settings(home, "https://api.test", ITEMS_TRIES="1", ITEMS_LEASE="86400"), api, source_for(api))


@pytest.fixture
def station(home):
    return open_station(home, is_keyset=True)


def installed(station):
    return open_installation(station.settings, configure([station.source], station.settings), clock=station.api.clock)


def owed(station):
    with installed(station) as installation:
        return show_bookmark(installation, station.source).owed


def said(station):
    """Return the events of the newest import: action -> sentence."""
    with tracking(station.settings) as connection:
        return {action: text for _, action, text in events.latest(connection, imports.latest(connection)[0].id)}


def run(station, **options):
    """Import and return its kind and bookmark, as the summary has them."""
    summary = station.run(**options)
    assert (summary.status, summary.incomplete_reason) == ("completed", None)
    return latest(station.settings).kind.value, summary.since, summary.bookmark


def test_the_first_import_is_full_and_later_ones_read_what_changed(station):
    assert run(station) == ("full", None, "5")
    station.api.change("2")
    assert run(station) == ("incremental", "5", "6")
    assert station.requests == (1, 1)
    assert run(station) == ("incremental", "6", None)
    assert said(station)["import_kind"] == "It reads what changed since 6."


@pytest.mark.parametrize("options", [{"full": True}, {"fresh": True}, {"refetch": True}])
def test_a_person_asks_for_a_full_import(station, options):
    run(station)
    station.api.change("2")
    assert run(station, **options) == ("full", None, "6")


@pytest.mark.parametrize("options", [{"limit": 3}, {"only": ("0",)}, {"kind": ImportKind.DISCOVERY}])
def test_an_import_of_less_than_all_leaves_the_bookmark(station, options):
    run(station)
    station.api.change("2")
    assert run(station, **options)[2] is None
    assert station.bookmark == "5"
    assert run(station) == ("incremental", "5", "6")
    assert station.stored == station.api.live


def test_a_full_import_is_due_again_after_a_time(station):
    station.source.incremental = Incremental(full_every=timedelta(hours=1))
    run(station)
    kinds = []
    for _ in range(4):
        station.api.clock.advance(1200)
        kinds.append(run(station)[0])
    assert kinds == ["incremental", "incremental", "full", "incremental"]


def test_a_lookback_reads_a_span_again(station):
    station.source.incremental = Incremental(lookback=2)
    run(station)
    assert run(station) == ("incremental", "3", None)
    assert station.requests == (1, 0)


def test_a_lookback_in_another_unit_fails_the_import_with_a_clear_reason(station):
    station.source.incremental = Incremental(lookback=timedelta(minutes=1))
    summary = station.run()
    expected = (
        "items.incremental.lookback: positions are numbers: expected a number, got datetime.timedelta(seconds=60)"
    )
    assert (summary.status, summary.failure_reason) == ("failed", expected)


def test_a_source_without_a_list_of_all_reads_all_changes_since_the_start(station):
    kind = type("Changes", (type(station.source),), {"list_request": type(station.source).__mro__[1].list_request})
    station.source = source_for(station.api)
    station.source.__class__ = kind
    station.source.incremental = Incremental(start="2")
    assert run(station) == ("full", None, "5")
    assert {request.url.params["since"] for request in station.api.lists} == {"2"}


def test_a_failed_item_is_owed_until_it_is_fetched_whatever_is_deleted_meanwhile(station):
    station.api.broken = {"1"}
    assert run(station)[2] == "5"
    with installed(station) as installation:
        deletion.prune(installation, 0)
        deletion.delete(installation, latest(station.settings).id)
    assert owed(station) == 1
    station.run()
    assert (owed(station), set(reasons(station.settings))) == (1, {"1"})
    station.api.broken = set()
    assert run(station)[0] == "incremental"
    assert station.api.details == ["1"]
    assert (owed(station), station.stored) == (0, station.api.live)


def test_a_retry_pays_what_is_owed(station):
    station.api.broken = {"1"}
    station.run()
    station.api.broken = set()
    with installed(station) as installation:
        retry = retries.retry(installation, latest(station.settings).id).row
    station.execute(retry.id)
    assert (owed(station), station.stored) == (0, station.api.live)


def test_a_deleted_item_is_marked_as_gone_and_its_row_stays(station):
    run(station)
    station.api.delete("1")
    station.api.add(7)
    station.api.delete("7")
    summary = station.run()
    assert (station.requests, summary.items_gone_count, summary.incomplete_reason) == ((1, 0), 1, None)
    assert said(station)["items_gone"] == "1 item is deleted, as the list says: marked as gone, their rows stay."
    assert set(station.stored) == set("01234")
    station.api.change("1")
    run(station)
    with tracking(station.settings) as connection:
        gone = connection.execute(source_items.select().where(source_items.c.gone_at.is_not(None))).all()
    assert (gone, station.stored) == ([], station.api.live)


def test_an_unreadable_item_holds_the_bookmark_below_it(station):
    station.api.unreadable = {"3"}
    station.run()
    assert station.bookmark == "3"
    assert said(station)["bookmark_moved"] == "The bookmark is 3."
    station.run()
    assert said(station)["bookmark_kept"] == "The bookmark stays at 3: an item failed that only the list has, at 4."
    station.api.unreadable = set()
    assert run(station) == ("incremental", "3", "5")


def test_an_unreadable_item_without_a_position_leaves_the_bookmark(station):
    station.api.unreadable = station.api.unplaced = {"3"}
    station.run()
    expected = "There is no bookmark yet: an item failed that only the list has, and its position is unknown."
    assert (station.bookmark, said(station)["bookmark_kept"]) == (None, expected)


def test_a_position_of_another_kind_fails_its_item_which_is_then_owed(station):
    run(station)
    station.api.change("2")
    station.api.odd = {"2"}
    station.run()
    problem = "ChangesSource.position must return one kind of position: 'never' is a text, '5' a number"
    assert reasons(station.settings) == {"2": problem}
    station.api.odd = set()
    station.api.change("4")
    assert run(station)[2] == "7"
    assert station.stored == station.api.live


def test_a_first_import_with_positions_of_several_kinds_leaves_no_bookmark(station):
    station.api.odd = {"2"}
    station.run()
    assert said(station)["bookmark_kept"] == "There is no bookmark yet: its positions are of several kinds."


def test_a_bookmark_that_a_person_sets_during_an_import_stays(station):
    run(station)
    station.api.change("2")

    def reset(number):
        with installed(station) as installation:
            set_bookmark(installation, station.source, "3", by="Ada")

    station.api.hook = lambda number: reset(number) if number == 1 else None
    assert run(station) == ("incremental", "5", None)
    assert said(station)["bookmark_kept"] == "The bookmark stays at 3: a person has set it since the import began."
    assert said(station)["bookmark_set"].startswith("Ada has set the bookmark to 3. This import reads on from where")
    station.api.hook = lambda number: None
    assert run(station) == ("incremental", "3", "6")


def test_a_reset_bookmark_makes_the_next_import_full(station):
    run(station)
    with installed(station) as installation:
        set_bookmark(installation, station.source, None)
    assert run(station) == ("full", None, "5")


def test_a_changed_position_makes_the_next_import_full(station):
    run(station)
    station.source = source_for(station.api)
    station.source.__class__ = type("Other", (type(station.source),), {"position": lambda self, item: item["v"]})
    assert run(station)[0] == "full"
    assert said(station)["import_kind"].endswith("`position` has changed since the bookmark was set.")


def test_a_changed_revision_makes_imports_full_until_one_is_complete(station):
    run(station)
    station.source.revision = 2
    station.api.broken_lists = 1
    station.run()
    assert run(station)[0] == "full"
    assert run(station)[0] == "incremental"


def test_a_source_becomes_incremental_and_stops_being_it(station):
    kind = type(station.source)
    without = {"incremental": None, "changes_request": ImportSource.changes_request, "order": None}
    plain = type("Plain", (kind,), without | {"pages": station.source.pages})
    incremental, station.source = station.source, plain()
    assert run(station) == ("full", None, None)
    station.source = incremental
    assert run(station) == ("full", None, "5")
    station.source = plain()
    station.api.change("1")
    assert run(station) == ("full", None, None)
    station.source = incremental
    station.api.change("2")
    assert run(station) == ("incremental", "5", "7")
    assert station.stored == station.api.live


def test_a_list_that_is_newest_first_ends_at_the_first_page_below_the_bookmark(home):
    station = open_station(home, order="newest_first", has_filter=False)
    run(station)
    station.api.add(*range(5, 20))
    assert run(station) == ("incremental", "5", "20")
    assert station.requests == (7, 15)
    run(station)
    assert station.requests == (2, 0)


def test_a_change_during_the_reading_is_left_to_the_next_import(home):
    station = open_station(home, form="time", is_keyset=True)

    def change(number):
        station.api.clock.advance(2)
        if number == 2:
            station.api.change("4")

    station.api.hook = change
    run(station)
    station.api.hook = lambda number: None
    station.api.clock.advance(60)
    run(station)
    assert station.stored == station.api.live


@pytest.mark.parametrize("is_deleted_first", [True, False], ids=["restored", "deleted"])
def test_an_item_deleted_or_restored_during_the_reading_hides_no_other(home, is_deleted_first):
    """It moves to the end of the list, so that the next item slides onto a page that was read already."""
    station = open_station(home)
    station.source.per_page = 1
    run(station)
    (station.api.delete if is_deleted_first else station.api.change)("0")
    station.api.change("1")
    station.api.change("2")

    def before_page(number):
        if number == 3:
            (station.api.change if is_deleted_first else station.api.delete)("0")

    station.api.page_hook = before_page
    run(station)
    station.api.page_hook = lambda number: None
    assert {key: station.stored.get(key) for key in station.api.live} == station.api.live
