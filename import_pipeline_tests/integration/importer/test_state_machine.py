"""Clocks, settings, operators and kills change during imports: nothing is lost, and all imports end."""

import pytest

from import_pipeline_tests.support.lifecycle import tracking_database
from import_pipeline_tests.support.state_machine import ImportStateMachine
from import_pipeline_tests.support.state_machine_runs import run_state_machine

#: A heartbeat thread whose process is killed ends by SystemExit.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def test_imports_keep_their_invariants_on_sqlite(tmp_path):
    with tracking_database(f"sqlite:///{tmp_path / 'tracking.db'}") as database:
        run_state_machine(ImportStateMachine, database, examples=6, steps=40)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("database_url", "examples"), [("sqlite", 100), ("postgres", 12)], indirect=["database_url"])
def test_imports_keep_their_invariants_over_many_steps(database_url, examples):
    with tracking_database(database_url) as database:
        run_state_machine(ImportStateMachine, database, examples, steps=60)
