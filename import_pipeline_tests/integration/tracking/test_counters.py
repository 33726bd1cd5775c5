"""Requests are counted in the transaction that stores what they brought."""

import pytest

from import_pipeline.tracking import claims
from import_pipeline.tracking.counters import CounterDelta
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.list_pages import Page
from import_pipeline.tracking.user_rows.row_writing import RowsRefused
from import_pipeline_tests.support.tracking_rows import NOON, Thing, begun, claim, current, details, do, failures, stub


def sent(database, row):
    found = current(database, row)
    return CounterDelta(requests=found.requests_count, hits=found.rate_limit_hits_count)


def test_requests_are_counted_with_what_they_brought(database):
    row, lease = begun(database)
    page = Page(items=[*map(stub, "abcd")], checkpoint={"page": 1})
    do(database, list_pages.store_page, row, lease, Thing, page, NOON, CounterDelta(requests=1))
    assert sent(database, row) == CounterDelta(requests=1)
    taken = claim(database, lease)
    do(database, claims.complete, row, lease, Thing, details(taken[:2]), NOON, sent=CounterDelta(requests=3, hits=1))
    assert sent(database, row) == CounterDelta(requests=4, hits=1)
    do(database, claims.fail, lease, failures(taken[2:3]), NOON, CounterDelta(requests=5))
    assert sent(database, row) == CounterDelta(requests=9, hits=1)
    bad = details(taken[3:], name=None)
    with pytest.raises(RowsRefused):
        do(database, claims.complete, row, lease, Thing, bad, NOON, sent=CounterDelta(requests=7, hits=7))
    assert sent(database, row) == CounterDelta(requests=9, hits=1)
