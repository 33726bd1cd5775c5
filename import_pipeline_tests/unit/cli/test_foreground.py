"""What `run` says where another import comes before the one that was asked for."""

import pytest

from import_pipeline.cli.foreground import said_of_first, said_of_wish
from import_pipeline.importer.summary import summarize
from import_pipeline.rules.status import ImportStatus
from import_pipeline_tests.rows import NOON, an_import


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ([], "What you have asked for has not been imported; ask again."),
        (["5"], "5 has not been imported; ask again."),
        (["3", "5"], "3, 5 have not been imported; ask again."),
        (list("1234567"), "1, 2, 3, 4, 5 and 2 more have not been imported; ask again."),
    ],
)
def test_a_wish_that_is_lost_is_named(only, said):
    assert said_of_wish(only) == said


@pytest.mark.parametrize(
    ("status", "reason", "ended"),
    [
        (ImportStatus.COMPLETED, None, "completed"),
        (ImportStatus.FAILED, "the token is refused", "failed: the token is refused"),
        (ImportStatus.CANCELLED, "cancelled by wish of Ada", "cancelled by wish of Ada"),
    ],
)
def test_how_the_one_before_has_ended_is_said_once(status, reason, ended):
    row = an_import(status=status, failure_reason=reason, started_at=NOON, ended_at=NOON, items_imported_count=3)
    assert said_of_first(summarize(row, "", NOON)) == (
        f"Import 7 of items has ended (3 imported, 0 failed): {ended}. Now what you have asked for."
    )
