"""Help that promises a start names what keeps the promise: a daemon, else `start-scheduled`."""

import pytest
from click.testing import CliRunner

from import_pipeline.cli import control


@pytest.mark.parametrize("command", [control.request, control.reschedule, control.retry], ids=lambda each: each.name)
def test_a_promised_start_names_the_daemon_and_the_command_without_one(command):
    said = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "while `import-pipeline up` or another Dagster daemon runs" in said
    assert "otherwise run `import-pipeline start-scheduled SOURCE`" in said
