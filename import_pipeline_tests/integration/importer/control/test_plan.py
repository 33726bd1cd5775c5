"""The plan of an import: its requests and time by the list's total, by the last import, or unknown."""

import httpx
import pytest

from import_pipeline import run_import
from import_pipeline.importer.control.plan import Plan, plan_import
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.source_loader import configure
from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.imports import FREE, demo_api, settings

TEN_A_PAGE = {"ITEMS_PER_PAGE": "10", "ITEMS_LIMITS": "10/1 second"}


class Silent(ItemsSource):
    """A list without a total, whose pages follow one another by a link."""

    def total(self, list_response):
        return None

    def has_next_page(self, list_response):
        return False

    def next_request(self, response, page):
        link = response.json()["next_page_url"]
        return httpx.Request("GET", link) if link else None


def planned(configured, source):
    with open_installation(configured, configure([source], configured)) as installation:
        return plan_import(installation, installation.source("items"))


def plan_of(items, pages, seconds, **more):
    return Plan(
        source="items",
        limits="10/1 second",
        items_count=items,
        list_requests=pages,
        detail_requests=items,
        requests_count=items and items + pages,
        ideal_seconds=seconds,
        **more,
    )


@pytest.mark.parametrize(("source", "items"), [(ItemsSource(), 25), (Silent(), 7)], ids=["a total", "one page is all"])
def test_an_import_is_planned_by_the_first_page_of_its_list(home, source, items):
    with demo_api(items=items) as url:
        plan = planned(settings(home, url, **TEN_A_PAGE), source)
    pages = -(-items // 10) if items > 10 else 1
    assert plan == plan_of(items, pages, (items + pages - 1) // 10, details_may_be_fewer=True)


def test_a_list_without_a_total_is_planned_by_the_last_import_that_read_all_of_it(home):
    with demo_api(items=25) as url:
        configured = settings(home, url, **TEN_A_PAGE)
        advice = "check `total`, which finds no number on the first page"
        assert planned(configured, Silent()) == plan_of(None, None, None, total_advice=advice)
        quick = settings(home, url, ITEMS_PER_PAGE="10", ITEMS_LIMITS=FREE)
        run_import("items", settings=quick, sources=[Silent()])
        run_import("items", settings=quick, sources=[Silent()], limit=5)
        assert planned(configured, Silent()) == plan_of(25, 3, 2.0, estimated_from=1, details_may_be_fewer=True)
