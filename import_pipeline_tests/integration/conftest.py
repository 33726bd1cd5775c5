"""A simulated installation on each kind of database, for tests that send no requests."""

import pytest

from import_pipeline_tests.support.lifecycle import SimulatedInstallation, delete_all_rows, tracking_database


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_database(request, tmp_path_factory):
    """One database of each kind for all tests of a module."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'tracking.db'}"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    with tracking_database(url) as database:
        yield database


@pytest.fixture
def simulation(shared_database):
    """A simulated installation with empty tables, at ten in the morning."""
    delete_all_rows(shared_database)
    return SimulatedInstallation(shared_database)
