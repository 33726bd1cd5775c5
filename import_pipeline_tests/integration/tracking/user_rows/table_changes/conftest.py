"""A database with the table of an earlier model, and two rows in it."""

import pytest
from sqlalchemy import text

from import_pipeline.tracking.database.engine import Database
from import_pipeline_tests.support.changed_models import OLD


@pytest.fixture
def database(empty_database_url):
    database = Database(empty_database_url)
    with database.write() as connection:
        connection.execute(text(OLD[connection.dialect.name]))
        connection.execute(text("INSERT INTO things (external_id) VALUES ('1'), ('2')"))
    yield database
    database.close()
