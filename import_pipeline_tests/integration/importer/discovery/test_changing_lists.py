"""Lists that change while they are paged, over real HTTP: no item that was there throughout is lost silently."""

import pytest

from import_pipeline.sources.items import ItemsSource
from import_pipeline_tests.support.imports import counts, demo_api, import_through, log, rows, settings
from source_api.drift import Order

OLDEST, NEWEST = Order.OLDEST, Order.NEWEST
#: twelve items on four pages of three
CHANGES = {
    "an item is deleted": (OLDEST, ["2=delete"]),
    "an item is deleted, the newest first": (NEWEST, ["2=delete"]),
    "more than a page is deleted": (OLDEST, ["2=delete*4"]),
    "an item is inserted at the end": (OLDEST, ["2=insert"]),
    "items are inserted at the head": (NEWEST, ["1=insert", "3=insert*2"]),
    "more than a page is inserted at the head": (NEWEST, ["2=insert*4"]),
    "deleted and inserted at the head, between two pages": (NEWEST, ["2=delete", "2=insert"]),
    "deleted at the head, inserted there later": (NEWEST, ["1=delete", "3=insert"]),
    "deleted at the head, inserted at the end later": (OLDEST, ["1=delete", "3=insert"]),
    "deleted at the head, more inserted at the end, between two pages": (OLDEST, ["2=delete", "2=insert*2"]),
    "deleted after each page": (OLDEST, ["1=delete", "2=delete", "3=delete"]),
}


class ReadTwice(ItemsSource):
    """Reads its list twice."""

    read_twice = True


def take(home, order, drifts, source=None):
    """The summary of an import, the ids that were there throughout, the imported ones, and the number of pages."""
    with demo_api(items=12, order=order, drifts=tuple(drifts)) as url:
        configured = settings(home, url, ITEMS_PER_PAGE="3", ITEMS_OVERLAP="false")
        summary = import_through(None, source or ItemsSource(), configured)
        pages = log(url).count("/api/items")
    deleted = sum(int(each.partition("*")[2] or 1) for each in drifts if "delete" in each)
    # The head of the list is deleted: the newest items, or the oldest.
    kept = range(1, 13 - deleted) if order is NEWEST else range(1 + deleted, 13)
    return summary, {str(each) for each in kept}, set(rows(configured)), pages


@pytest.mark.parametrize(("order", "drifts"), CHANGES.values(), ids=CHANGES)
def test_nothing_that_was_there_throughout_is_lost(home, order, drifts):
    summary, kept, imported, pages = take(home, order, drifts)
    assert (summary.status, summary.incomplete_reason) == ("completed", None)
    assert kept <= imported
    assert pages <= 2 * 6, "read again once at most, and sixteen items fill six pages"


UNSEEN = (OLDEST, ["2=delete", "2=insert"])  # between the same two pages: the total stays, item 7 slides onto page two


def test_a_source_that_reads_its_list_twice_notices_changes_without_a_total(home):
    """The one change that a single reading cannot see, as the documentation says."""
    once, kept, imported, pages = take(home / "once", *UNSEEN)
    assert (once.incomplete_reason, kept - imported, pages) == (None, {"7"}, 4)
    twice, kept, imported, pages = take(home / "twice", *UNSEEN, ReadTwice())
    assert (twice.incomplete_reason, kept - imported, pages) == (None, set(), 3 * 4)


def test_a_list_that_does_not_change_costs_its_pages_twice(home):
    summary, kept, imported, pages = take(home, OLDEST, [], ReadTwice())
    assert (counts(summary), summary.incomplete_reason) == (("completed", 12, 12, 0, 0), None)
    assert (imported, pages) == (kept, 2 * 4)
