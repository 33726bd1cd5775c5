"""Options and facts of an import, and the JSON that they are stored as."""

from datetime import UTC, datetime

import pytest

from import_pipeline.rules.import_metadata import ImportFacts, ImportOptions
from import_pipeline.rules.resumes import ProgressMark

OPTIONS = {"fresh": True, "limit": 50, "only": ["3", "17"], "numbers": [[1, 4], [9, 12]], "shards": 3}
FACTS = {
    "limits": "500/20 second",
    "limits_learned": True,
    "mean_cost": 1.5,
    "sleeps_before": 0,
    "slept_before": 0.0,
    "away_seconds": 2.5,
    "resumed_after": "2030-06-01T12:00:00+00:00",
    "gone": 3,
    "gone_unconfirmed": 0,
    "standing_at_resume": {"found": 9, "done": 4, "tries": 1, "reading": 1, "page": 2},
    "resumes_in_all": 2,
    "broke_off": "ValueError: no",
}


@pytest.mark.parametrize("metadata", [{}, OPTIONS, FACTS, OPTIONS | FACTS, {"limit": 1, "gone": 0}])
def test_what_is_read_is_stored_as_the_same_json(metadata):
    assert ImportFacts.read(metadata).store(ImportOptions.read(metadata).dump()) == metadata


def test_options_and_facts_are_typed():
    assert ImportOptions.read(OPTIONS) == ImportOptions(
        fresh=True, limit=50, only=("3", "17"), numbers=((1, 4), (9, 12)), shards=3
    )
    facts = ImportFacts.read(FACTS)
    assert facts.resumed_after == datetime(2030, 6, 1, 12, tzinfo=UTC)
    assert facts.standing_at_resume == ProgressMark(found=9, done=4, tries=1, reading=1, page=2)


def test_stored_facts_replace_earlier_ones_and_leave_all_else():
    assert ImportFacts(gone=2).store({"limit": 7, "broke_off": "x", "another": 1}) == {
        "limit": 7,
        "another": 1,
        "gone": 2,
    }
