"""How long a run tells Dagster of its items."""

from datetime import timedelta

import pytest

from import_pipeline.defs.event_report import MOST_AT_ONCE, Report
from import_pipeline.defs.partitions import ToldByItem

MANY = 2 * MOST_AT_ONCE + 1


@pytest.mark.parametrize(
    ("within", "writes"),
    [(None, [500, 500, 1]), (timedelta(seconds=60), [500, 500, 1]), (timedelta(0), [])],
)
def test_a_run_tells_of_all_items_or_of_those_that_there_is_time_for(within, writes):
    written = []
    told = ToldByItem(lambda item: item)
    told.take(range(MANY))
    Report(told, add=list, store=lambda events: written.append(len(events)), observe=list).finish(within)
    assert written == writes
