"""`up` leaves no process behind, even if it is killed or interrupted during its start.

By day, test_up.py interrupts one and kills another once they serve.
"""

import signal
from contextlib import suppress
from pathlib import Path

import pytest

from import_pipeline_tests.acceptance.command_line import eventually, far_slot, free_port, processes_of


def commands_of(home):
    """Return the command lines of the processes whose state folder is that folder."""
    for pid in processes_of(home):
        with suppress(OSError):
            yield Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def up(script, home):
    """`up` at the moment when Dagster's processes have started and no server listens yet."""
    ports = {name: str(free_port()) for name in ("SOURCE_API_PORT", "DAGSTER_PORT", "PANEL_PORT")}
    up = script.start("up", **ports, ITEMS_SLOTS=far_slot())
    assert up.process.stdout.readline().startswith("Demo API on ")
    eventually(lambda: any(b"dagster_webserver" in line for line in commands_of(home)), "Dagster's processes start")
    return up


@pytest.mark.nightly
def test_the_processes_of_up_end_with_it_even_if_it_is_killed(up, home):
    assert len(processes_of(home)) > 4
    up.process.send_signal(signal.SIGKILL)
    eventually(lambda: not processes_of(home), "every server has ended")
    up.end()


@pytest.mark.nightly
def test_ctrl_c_during_the_start_ends_up_without_output_of_dagster(up, home):
    up.process.send_signal(signal.SIGINT)
    ended = up.end()
    assert (ended.status, ended.err) == (0, "")
    eventually(lambda: not processes_of(home), "every server has ended")
