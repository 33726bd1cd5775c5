"""A ledger's database of each kind."""

import pytest
from sqlalchemy import delete

from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.lifecycle import delete_all_rows
from import_pipeline_tests.support.tracking_rows import Numbered, Thing


@pytest.fixture(scope="module")
def ledger_database(shared_database):
    """With the tables that a ledger's items fill."""
    for model in (Thing, Numbered):
        ensure_table(shared_database, model)
    return shared_database


@pytest.fixture
def database(ledger_database):
    """Emptied."""
    delete_all_rows(ledger_database)
    with ledger_database.write() as connection:
        for model in (Thing, Numbered):
            connection.execute(delete(model))
    return ledger_database
