"""The data that the templates draw."""

from datetime import timedelta

import pytest

from import_pipeline.importer.monitoring.queries import PAGE_SIZE, ImportDetails, ImportPage
from import_pipeline.importer.monitoring.view import view_of
from import_pipeline.panel.charts import Part, chart_of, duration_parts, gauge_parts, progress_parts
from import_pipeline.panel.query import Query
from import_pipeline.panel.views import allowed, covers, list_page, why_not
from import_pipeline.ratelimit import TierUsage
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking.lists.leftovers import Leftovers
from import_pipeline_tests.support.import_rows import NOON, an_import

SOURCES = ["items", "orders"]


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ({}, Query()),
        ({"source": "orders", "status": "overdue"}, Query(source="orders", status="overdue")),
        ({"sort": "items"}, Query(sort="items", descending=False)),
        ({"sort": "-hits", "page": "3"}, Query(sort="hits", page=3)),
        # An address can hold any value.
        ({"source": "x' OR 1=1", "status": "<script>"}, Query()),
        ({"sort": "password"}, Query()),
        ({"sort": "-id; DROP TABLE imports", "page": "0"}, Query()),
        ({"status": "due"}, Query(status="due")),
        ({"page": "-1"}, Query()),
        ({"page": "000000001" + "0" * 5000}, Query()),
        ({"page": "999999999999"}, Query()),
        ({"page": "\N{ARABIC-INDIC DIGIT THREE}"}, Query()),
        ({"page": "\N{SUPERSCRIPT TWO}"}, Query()),
    ],
)
def test_an_address_is_read_and_unknown_values_are_ignored(asked, query):
    assert Query.read(asked, SOURCES) == query


@pytest.mark.parametrize(
    ("query", "changed", "link"),
    [
        (Query(), {}, "/"),
        (Query(page=4), {}, "/"),
        (Query(page=4), {"page": 5}, "/?page=5"),
        (Query(source="items", page=4), {"status": "failed"}, "/?source=items&status=failed"),
        (Query(status="failed", sort="hits"), {"status": None}, "/?sort=-hits"),
        (Query(), {"sort": "id"}, "/?sort=id"),
        (Query(sort="hits"), {"sort": "-scheduled"}, "/"),
    ],
)
def test_a_link_keeps_the_unchanged_values(query, changed, link):
    assert query.link(**changed) == link


def running(**changed):
    row = an_import(status=ImportStatus.RUNNING, started_at=NOON, **changed)
    return view_of(row, "", NOON + timedelta(seconds=10))


def test_bars_are_stretches_in_per_cent():
    view = running(items_count=400, items_imported_count=100, items_unchanged_count=50, items_failed_count=20)
    assert progress_parts(view) == [
        Part(name="imported", start=0.0, size=25.0),
        Part(name="unchanged", start=25.0, size=12.5),
        Part(name="failed", start=37.5, size=5.0),
    ]
    assert duration_parts(running(total_sleep_seconds=7.5)) == [
        Part(name="active", start=0.0, size=25.0),
        Part(name="sleeping", start=25.0, size=75.0),
    ]
    assert duration_parts(running(total_sleep_seconds=5.0, metadata={"away_seconds": 2.5})) == [
        Part(name="active", start=0.0, size=25.0),
        Part(name="sleeping", start=25.0, size=50.0),
        Part(name="away", start=75.0, size=25.0),
    ]
    assert gauge_parts(TierUsage(amount=50, seconds=2, used=10)) == [Part(name="left", start=0.0, size=80.0)]
    assert progress_parts(running()) == []


def test_a_single_failure_among_many_is_seen():
    [_, failed] = progress_parts(running(items_count=10_000, items_imported_count=9_999, items_failed_count=1))
    assert failed == Part(name="failed", start=99.3, size=0.7)


def test_the_chart_counts_items_per_second_and_ends_now():
    now = NOON + timedelta(seconds=10)
    chart = chart_of([NOON + timedelta(seconds=second) for second in (6.5, 6.6, 8.5, 8.6, 8.7, 9.9)], now)
    assert (chart.most, chart.seconds) == (3.0, 4.0)
    assert [(x, height) for x, _, _, height in chart.bars] == [(0.0, 66.67), (50.0, 100.0), (75.0, 33.33)]
    assert chart_of([NOON], now) is None
    assert chart_of([now - timedelta(seconds=0.4), now - timedelta(seconds=0.1)], now) is None
    long = chart_of([NOON - timedelta(hours=2), NOON, NOON], now)
    assert len(long.bars) == 2
    assert long.seconds == pytest.approx(7210, abs=130)


def listing(total=1, counts=None, requests=()):
    return ImportPage(views=[running()], total=total, counts=counts or {}, requests=requests)


def test_tabs_count_and_the_refresh_is_slower_when_nothing_happens():
    counts = {("items", "running"): 1, ("items", "completed"): 5, ("orders", "completed"): 2}
    page = list_page(listing(counts=counts), Query(status="completed"), SOURCES)
    tabs = {tab.text: (tab.count, tab.current) for tab in page["statuses"]}
    assert tabs == {
        "all": (8, False),
        "running": (1, False),
        "scheduled": (0, False),
        "overdue": (0, False),
        "completed": (7, True),
        "with failures": (None, False),
        "failed": (0, False),
        "cancelled": (0, False),
    }
    assert page["refresh"] == 1000
    of_orders = list_page(listing(counts=counts), Query(source="orders"), SOURCES)
    assert of_orders["statuses"][0].count == 2
    assert of_orders["refresh"] == 5000
    assert [tab.text for tab in of_orders["sources"]] == ["all sources", "items", "orders"]
    assert list_page(listing(), Query(), ["items"])["sources"] == []
    assert list_page(listing(requests=[("items", "new", NOON)]), Query(), SOURCES)["refresh"] == 1000


def test_due_imports_are_under_the_tab_scheduled():
    page = list_page(listing(), Query(status="due"), SOURCES)
    assert [tab.text for tab in page["statuses"] if tab.current] == ["scheduled"]


def test_a_column_sorts_the_other_way_the_second_time():
    page = list_page(listing(), Query(sort="hits"), SOURCES)
    heads = {head.text: (head.url, head.order) for head in page["columns"]}
    assert heads["Rate limits"] == ("/?sort=hits", "descending")
    assert heads["Import"] == ("/?sort=-id", "")


@pytest.mark.parametrize(
    ("total", "page", "shown"),
    [
        (PAGE_SIZE, 1, []),
        (PAGE_SIZE + 1, 1, ["1", "2"]),
        (PAGE_SIZE * 100, 50, ["1", "48", "49", "50", "51", "52", "100"]),
        (3, 2, ["1"]),
    ],
)
def test_pages_around_the_one_shown(total, page, shown):
    assert [link.text for link in list_page(listing(total=total), Query(page=page), SOURCES)["pages"]] == shown


LATER = NOON + timedelta(hours=1)


def a_look(row, unfinished, retried_by):
    return ImportDetails(
        view=view_of(row, "", NOON),
        forecast=None,
        usage=None,
        failure_groups=[],
        failures=[],
        events=[],
        finished_at=[],
        leftovers=Leftovers(items=unfinished),
        retried_by=retried_by,
    )


@pytest.mark.parametrize(
    ("row", "unfinished", "retried_by", "actions"),
    [
        (an_import(), 0, None, ("cancel",)),
        (an_import(status=ImportStatus.RUNNING), 0, None, ("cancel",)),
        (an_import(status=ImportStatus.RUNNING, cancel_requested_at=NOON), 0, None, ()),
        (an_import(status=ImportStatus.COMPLETED), 0, None, ("delete",)),
        (an_import(status=ImportStatus.FAILED), 3, None, ("retry", "delete")),
        (an_import(status=ImportStatus.FAILED), 3, 8, ()),
        (an_import(status=ImportStatus.FAILED, slot_at=NOON), 3, None, ("retry", "delete")),
        (an_import(status=ImportStatus.CANCELLED, slot_at=LATER, cancel_requested_at=NOON), 0, None, ()),
        (an_import(status=ImportStatus.CANCELLED, slot_at=LATER), 0, None, ("delete",)),  # by a rule: nothing is spent
    ],
)
def test_only_possible_actions_are_offered(row, unfinished, retried_by, actions):
    look = a_look(row, unfinished, retried_by)
    assert allowed(look, NOON) == actions
    assert {action for action in ("cancel", "retry", "delete") if why_not(action, look, NOON) is None} == set(actions)


@pytest.mark.parametrize(
    ("action", "row", "unfinished", "retried_by", "reason"),
    [
        ("cancel", an_import(status=ImportStatus.FAILED), 0, None, "it has already ended"),
        (
            "cancel",
            an_import(status=ImportStatus.RUNNING, cancel_requested_at=NOON),
            0,
            None,
            "it is already being cancelled",
        ),
        ("retry", an_import(), 0, None, "it can be retried after it has ended"),
        ("delete", an_import(), 0, None, "it can be deleted after it has ended"),
        ("retry", an_import(status=ImportStatus.COMPLETED), 0, None, "it has nothing to retry"),
        ("delete", an_import(status=ImportStatus.FAILED), 3, 8, "import 8 retries it"),
        (
            "delete",
            an_import(status=ImportStatus.CANCELLED, slot_at=LATER, cancel_requested_at=NOON),
            0,
            None,
            "it keeps its future slot from being scheduled again",
        ),
    ],
)
def test_an_impossible_action_has_a_reason(action, row, unfinished, retried_by, reason):
    assert why_not(action, a_look(row, unfinished, retried_by), NOON) == reason


@pytest.mark.parametrize(
    ("kind", "limit", "text"),
    [
        ("full", None, "full import"),
        ("full", 20, "the first 20 items"),
        ("full", 1, "the first item"),
        ("discovery", None, "list only"),
        ("discovery", 20, "list only, the first 20 items"),
        ("selection", None, "selected items"),
    ],
)
def test_a_limited_import_does_not_say_that_it_covers_everything(kind, limit, text):
    assert covers(an_import(kind=ImportKind(kind), metadata={"limit": limit})) == text
