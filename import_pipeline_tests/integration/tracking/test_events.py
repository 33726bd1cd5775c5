"""Events of imports are logged under the same action, once their transaction is committed."""

import logging

import pytest

from import_pipeline.tracking import events
from import_pipeline.tracking.database.engine import Database
from import_pipeline.tracking.schema import upgrade
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import add_import


class Rolled(Exception):
    """Ends a transaction by a rollback."""


@pytest.fixture
def database(tmp_path):
    """A database with its tables."""
    opened = Database(f"sqlite:///{tmp_path / 'tracking.db'}")
    upgrade(opened)
    yield opened
    opened.close()


class Holder:
    """The part of an installation that `add_import` uses."""

    def __init__(self, database):
        self.database = database


def note_and_roll_back(database, import_id):
    """Record an event in a transaction that is rolled back."""
    with database.write() as connection:
        events.note(connection, import_id, NOON, "import_started", "Started.")
        raise Rolled


def test_an_event_is_logged_after_its_transaction_and_not_if_that_is_rolled_back(database, caplog):
    caplog.set_level(logging.INFO, "import_pipeline")
    import_id = add_import(Holder(database))
    with pytest.raises(Rolled):
        note_and_roll_back(database, import_id)
    with database.write() as connection:
        events.note(connection, import_id, NOON, "import_resumed", "Resumed.")
        assert caplog.records == []
    logged = [(record.action, record.getMessage(), record.fields) for record in caplog.records]
    assert logged == [("import_resumed", "Resumed.", {"import_id": import_id, "source": "items"})]
