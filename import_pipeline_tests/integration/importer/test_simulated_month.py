"""A simulated month: imports run one at a time, each slot once, and all of them end."""

import pytest

from import_pipeline_tests.support.lifecycle import tracking_database
from import_pipeline_tests.support.simulated_month import SimulatedMonth
from import_pipeline_tests.support.state_machine_runs import run_state_machine


def test_a_month_on_sqlite(tmp_path):
    with tracking_database(f"sqlite:///{tmp_path / 'tracking.db'}") as database:
        run_state_machine(SimulatedMonth, database, examples=5, steps=60)


def test_a_short_month_on_postgres(postgres_server):
    with tracking_database(postgres_server.create_database()) as database:
        run_state_machine(SimulatedMonth, database, examples=3, steps=40)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_many_long_months(database_url):
    with tracking_database(database_url) as database:
        run_state_machine(SimulatedMonth, database, examples=30, steps=200)
