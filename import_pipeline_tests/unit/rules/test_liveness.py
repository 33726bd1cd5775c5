"""Whether a running import still has a worker."""

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
def test_an_import_can_be_taken_over_when_its_worker_is_gone_or_silent_for_a_lease(has_owner, process_alive, seconds):
    liveness = Liveness(heartbeat_at=BEAT, lease_seconds=LEASE, has_owner=has_owner, process_alive=process_alive)
    takeover = BEAT + timedelta(seconds=seconds)
    assert liveness.takeover_at() == takeover
    assert [liveness.is_dead(takeover + timedelta(microseconds=late)) for late in (-1, 0, 1)] == [False, True, True]


TAKEOVERS = [
    (True, True, "should its process die, the next run goes on with it at once"),
    (True, None, "if nothing more is heard of it, the next run goes on with it from 12:01:00 UTC on"),
    (True, False, "its process is gone, so the next run goes on with it at once"),
    (False, None, "its process is gone, so the next run goes on with it at once"),
]


@pytest.mark.parametrize(("has_owner", "process_alive", "said"), TAKEOVERS)
def test_who_is_in_the_way_is_said_with_when_another_goes_on(has_owner, process_alive, said):
    liveness = Liveness(heartbeat_at=BEAT, lease_seconds=LEASE, has_owner=has_owner, process_alive=process_alive)
    assert liveness.said_of_takeover() == said
