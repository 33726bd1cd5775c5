"""The time that a run spends on reporting its items to Dagster."""

from datetime import timedelta

import pytest

from import_pipeline.defs.event_report import MAX_BATCH, EventReporter
from import_pipeline.defs.partitions import ItemQueue
from import_pipeline.importer.runtime.progress import StoredItem

MANY = 2 * MAX_BATCH + 1


@pytest.mark.parametrize(
    ("within", "writes"),
    [(None, [500, 500, 1]), (timedelta(seconds=60), [500, 500, 1]), (timedelta(0), [])],
)
def test_a_run_reports_all_items_or_those_that_fit_into_the_time(within, writes):
    written = []
    queue = ItemQueue(lambda item: item)
    queue.add([StoredItem(external_id=str(number)) for number in range(MANY)])
    reporter = EventReporter(queue, add_partitions=list, store=lambda events: written.append(len(events)), observe=list)
    reporter.finish(within)
    assert written == writes
