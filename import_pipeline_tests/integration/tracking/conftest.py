"""Databases of both kinds with empty tracking tables."""

import pytest
from sqlalchemy import delete

from import_pipeline.tracking.user_rows.user_tables import ensure_table
from import_pipeline_tests.support.lifecycle import delete_all_rows
from import_pipeline_tests.support.tracking_rows import Numbered, Thing


@pytest.fixture(scope="module")
def ledger_database(shared_database):
    """A database of each kind, with the tracking tables and those of the test models."""
    for model in (Thing, Numbered):
        ensure_table(shared_database, model)
    return shared_database


@pytest.fixture
def database(ledger_database):
    """A database of each kind, with these tables and without any rows."""
    delete_all_rows(ledger_database)
    with ledger_database.write() as connection:
        for model in (Thing, Numbered):
            connection.execute(delete(model))
    return ledger_database
