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
