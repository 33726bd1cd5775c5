"""`up` leaves no process behind if it is interrupted during its start. test_up.py kills one then."""

import signal

import pytest

from import_pipeline_tests.acceptance.command_line import commands_of, eventually, far_slot, free_port, processes_of

#: Beginnings of the lines that `up` itself writes; on a busy machine it serves before the signal.
OURS = ("Starting.", "Demo API ", "Dagster UI ", "Panel ", "Ctrl-C stops all.", "Stopping: ")


@pytest.mark.nightly
def test_ctrl_c_during_the_start_ends_up_without_output_of_dagster(script, home):
    ports = {name: str(free_port()) for name in ("SOURCE_API_PORT", "DAGSTER_PORT", "PANEL_PORT")}
    up = script.start("up", **ports, ITEMS_SLOTS=far_slot())
    assert up.process.stdout.readline().startswith("Demo API on ")
    eventually(lambda: any(b"dagster_webserver" in line for line in commands_of(home)), "Dagster's processes start")
    up.process.send_signal(signal.SIGINT)
    ended = up.end()
    assert (ended.status, [line for line in ended.err.splitlines() if not line.startswith(OURS)]) == (0, [])
    eventually(lambda: not processes_of(home), "every server has ended")
