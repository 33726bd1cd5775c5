"""The liveness of a running import's worker."""

from datetime import UTC, datetime, timedelta

import pytest

from import_pipeline.rules.liveness import Liveness

BEAT = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = 60.0

CASES = [
    # has_owner, process_alive, seconds from the heartbeat to the takeover
    (True, True, 60),  # frozen, perhaps
    (True, None, 60),  # another machine's
    (True, False, 0),  # killed
    (False, None, 0),  # left in order
    (False, True, 0),
]


@pytest.mark.parametrize(("has_owner", "process_alive", "seconds"), CASES)
def test_an_import_can_be_taken_over_if_its_worker_is_dead_or_silent_for_a_lease(has_owner, process_alive, seconds):
    liveness = Liveness(heartbeat_at=BEAT, lease_seconds=LEASE, has_owner=has_owner, process_alive=process_alive)
    takeover = BEAT + timedelta(seconds=seconds)
    assert liveness.takeover_at() == takeover
    at_once = seconds == 0
    assert [liveness.is_dead(takeover + timedelta(microseconds=late)) for late in (-1, 0, 1)] == [at_once, True, True]


@pytest.mark.parametrize("set_by", [timedelta(days=-400), timedelta(hours=-1), timedelta(0), timedelta(days=400)])
@pytest.mark.parametrize(
    ("has_owner", "alive", "silent", "dead"),
    [
        (True, True, 0.0, False),
        (True, True, 59.9, False),
        (True, True, 60.0, True),
        (True, False, 0.0, True),
        (True, False, None, True),
        (False, None, None, True),
    ],
)
def test_a_clock_that_was_set_neither_kills_the_living_nor_keeps_the_dead(has_owner, alive, silent, dead, set_by):
    liveness = Liveness(
        heartbeat_at=BEAT, lease_seconds=LEASE, has_owner=has_owner, process_alive=alive, silent_seconds=silent
    )
    assert liveness.is_dead(BEAT + set_by) is dead


@pytest.mark.parametrize(("seconds", "ahead"), [(-3600, True), (-6, True), (-5, False), (0, False), (3600, False)])
def test_a_heartbeat_is_ahead_if_it_lies_in_the_future_by_more_than_two_hosts_differ(seconds, ahead):
    liveness = Liveness(heartbeat_at=BEAT, lease_seconds=LEASE, has_owner=True, process_alive=None)
    assert liveness.is_ahead(BEAT + timedelta(seconds=seconds)) is ahead


TAKEOVERS = [
    (True, True, "if its process dies, the next run resumes it immediately"),
    (True, None, "if it sends no further heartbeat, the next run resumes it from 12:01:00 UTC on"),
    (True, False, "its process is dead, so the next run resumes it immediately"),
    (False, None, "its process is dead, so the next run resumes it immediately"),
]


@pytest.mark.parametrize(("has_owner", "process_alive", "said"), TAKEOVERS)
def test_the_sentence_names_the_reason_and_the_moment_of_a_takeover(has_owner, process_alive, said):
    liveness = Liveness(heartbeat_at=BEAT, lease_seconds=LEASE, has_owner=has_owner, process_alive=process_alive)
    assert liveness.said_of_takeover() == said
