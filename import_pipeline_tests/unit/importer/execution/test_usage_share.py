"""The sleeps of an import until now, from its row and the counters of its API."""

import pytest

from import_pipeline.importer.limiter_usage import with_current_usage
from import_pipeline.ratelimit import Usage
from import_pipeline.rules.status import ImportStatus
from import_pipeline_tests.support.import_rows import NOON, an_import

BEGUN = {"sleeps_before": 2, "slept_before": 30.0}


def usage(sleeps, slept_seconds):
    return Usage(hits=0, sleeps=sleeps, slept_seconds=slept_seconds, paused_until=None)


@pytest.mark.parametrize(
    ("metadata", "counters", "expected"),
    [
        (BEGUN, usage(7, 39.5), (5, 9.5)),
        (BEGUN, usage(0, 1.0), (4, 8.0)),  # the store has forgotten
        (BEGUN, None, (4, 8.0)),  # it does not answer
        ({}, usage(7, 39.5), (4, 8.0)),  # the import has not read it yet
        ({**BEGUN, "resumed_after": NOON.isoformat()}, usage(7, 39.5), (4, 8.0)),  # nor its new worker, what was away
    ],
)
def test_sleep_counts_until_now_where_that_is_known(metadata, counters, expected):
    row = an_import(status=ImportStatus.RUNNING, rate_limit_sleeps_count=4, total_sleep_seconds=8.0, metadata=metadata)
    now = with_current_usage(row, counters)
    assert (now.rate_limit_sleeps_count, now.total_sleep_seconds) == expected
