"""The plan of an incremental source: what an import that begins now would read, from its bookmark or as a whole."""

from contextlib import contextmanager

import httpx
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from import_pipeline.importer.control.plan import plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.testing import FakeClock
from import_pipeline_tests.support.changes_api import BEGAN, ChangesApi, Station, source_for
from import_pipeline_tests.support.imports import latest, served, settings


def app_of(api):
    """The API as an application that a server runs."""

    async def answer(request):
        found = api(httpx.Request("GET", str(request.url)))
        found = found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)
        return Response(found.content, found.status_code, {"content-type": "application/json"})

    return Starlette(routes=[Route("/{path:path}", answer)])


@contextmanager
def station_of(home, values=None, **api_values):
    """Ten items that were imported; the API is served for plans, and asked in this process for imports."""
    api = ChangesApi(clock=FakeClock(BEGAN), form="number", **api_values)
    api.add(*range(10))
    with served(app_of(api)) as url:
        found = Station(settings(home, url), api, source_for(api, base_url=url, **values or {}))
        assert found.run().status == "completed"
        yield found


def planned(station, **values):
    """The plan as figures: kind, since, items, list requests, details, the import that it is estimated from."""
    sources = configure([station.source], station.settings)
    with open_installation(station.settings, sources) as installation:
        plan = plan_import(installation, installation.source("items"), **values)
    assert plan.requests_count == (plan.items_count and plan.list_requests + plan.detail_requests)
    return plan.kind, plan.since, plan.items_count, plan.list_requests, plan.detail_requests, plan.estimated_from


def test_the_plan_of_an_incremental_import_counts_what_has_changed(home):
    with station_of(home, is_keyset=True) as station:
        station.api.change("3")
        station.api.change("4")
        station.api.lists.clear()
        assert planned(station) == ("incremental", "10", 3, 1, 3, None)
        assert [request.url.params["since"] for request in station.api.lists] == ["10"]
        assert latest(station.settings).id == 1, "it only reads"


def test_a_plan_may_be_asked_for_a_full_import(home):
    with station_of(home) as station:
        assert planned(station, full=True) == ("full", None, 10, 4, 10, None)


def test_the_plan_is_of_a_full_import_if_the_next_one_is(home):
    with station_of(home) as station:
        station.source.revision = 2
        assert planned(station) == ("full", None, 10, 4, 10, None)


def test_without_a_total_the_last_incremental_import_gives_the_number(home):
    with station_of(home, has_total=False, is_keyset=True) as station:
        for each in "34567":
            station.api.change(each)
        assert planned(station) == ("incremental", "10", None, None, None, None)
        station.run()
        for each in "34567":
            station.api.change(each)
        assert planned(station) == ("incremental", "15", 6, 2, 6, 2)


def test_a_list_that_is_newest_first_is_counted_up_to_the_bookmark(home):
    with station_of(home, order="newest_first", has_filter=False, is_keyset=True) as station:
        station.api.change("3")
        kind, since, items, *_ = planned(station)
        assert (kind, since, items) == ("incremental", "10", 2)


def test_items_that_are_owed_count_as_details(home):
    with station_of(home, is_keyset=True) as station:
        station.api.broken = {"3"}
        station.api.change("3")
        assert station.run().items_failed_count == 1
        assert planned(station) == ("incremental", "11", 1, 1, 2, None)
