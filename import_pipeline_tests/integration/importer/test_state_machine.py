"""Clocks, settings, operators and kills move under the imports: nothing is lost, everything ends."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from import_pipeline_tests.support.lifecycle import tracking_database
from import_pipeline_tests.support.state_machine import ImportStateMachine

#: A heartbeat thread whose process is killed ends by SystemExit.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def live_through(database, examples, steps):
    """Live through so many different times of unrest; what is found is told by the steps that lead to it."""
    run_state_machine_as_test(
        lambda: ImportStateMachine(database),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )


def test_unrest_on_sqlite(tmp_path):
    with tracking_database(f"sqlite:///{tmp_path / 'tracking.db'}") as database:
        live_through(database, examples=6, steps=40)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("database_url", "examples"), [("sqlite", 100), ("postgres", 12)], indirect=["database_url"])
def test_long_unrest(database_url, examples):
    with tracking_database(database_url) as database:
        live_through(database, examples, steps=60)
