"""The allowed changes of a status, and what is derived from a status."""

from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.errors import InvalidTransition
from import_pipeline.rules.status import (
    ENDED,
    ITEM_TRANSITIONS,
    ImportStatus,
    check_transition,
    end_sentence,
    is_overdue,
    statuses_before,
    with_reason,
)

SCHEDULED, RUNNING, COMPLETED, FAILED, CANCELLED = ImportStatus
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)

ALLOWED = {(SCHEDULED, RUNNING), (SCHEDULED, CANCELLED), (RUNNING, COMPLETED), (RUNNING, FAILED), (RUNNING, CANCELLED)}


@pytest.mark.parametrize("found", ImportStatus)
@pytest.mark.parametrize("wanted", ImportStatus)
def test_an_import_takes_the_allowed_steps_and_no_other(found, wanted):
    if (found, wanted) in ALLOWED:
        check_transition("import 7", found, wanted)
        return
    with pytest.raises(InvalidTransition) as refused:
        check_transition("import 7", found, wanted)
    already, sentence = f"import 7 is already {found}", f"import 7 cannot become {wanted}: it is {found}"
    assert str(refused.value) == (already if wanted == found else sentence)
    assert (refused.value.wanted, refused.value.found) == (wanted, found)


@pytest.mark.parametrize(
    ("target", "sources"),
    [
        (SCHEDULED, set()),
        (RUNNING, {SCHEDULED}),
        (COMPLETED, {RUNNING}),
        (FAILED, {RUNNING}),
        (CANCELLED, {SCHEDULED, RUNNING}),
    ],
)
def test_what_may_become_a_status_is_read_off_the_same_table(target, sources):
    assert statuses_before(target) == sources


def test_completed_failed_and_cancelled_imports_stay_as_they_are():
    assert {COMPLETED, FAILED, CANCELLED} == ENDED


def test_an_item_takes_these_steps():
    assert {status.value: {following.value for following in after} for status, after in ITEM_TRANSITIONS.items()} == {
        "pending": {"processing"},
        "processing": {"completed", "failed", "pending"},
        "failed": {"processing"},
        "completed": set(),
    }


@pytest.mark.parametrize(
    ("status", "scheduled_at", "overdue"),
    [
        (SCHEDULED, NOW - timedelta(seconds=60, microseconds=1), True),
        (SCHEDULED, NOW - timedelta(seconds=60), False),
        (SCHEDULED, NOW + timedelta(hours=3), False),
        (SCHEDULED, None, False),
        (RUNNING, NOW - timedelta(hours=3), False),
        (CANCELLED, NOW - timedelta(hours=3), False),
    ],
)
def test_overdue_is_scheduled_over_a_minute_ago_and_not_started(status, scheduled_at, overdue):
    assert is_overdue(status, scheduled_at, NOW) is overdue


@pytest.mark.parametrize(
    ("reason", "status", "text"),
    [
        ("the token is refused", "failed", "Failed: the token is refused."),
        ("cancelled by Ada", "cancelled", "Cancelled by Ada."),
        ("Its lease was lost. Why?", "failed", "Failed: Its lease was lost. Why?"),
    ],
)
def test_how_and_why_an_import_ended(reason, status, text):
    assert end_sentence(reason, status) == text
    assert with_reason(reason, status).lower().rstrip(".?") == text.lower().rstrip(".?")
