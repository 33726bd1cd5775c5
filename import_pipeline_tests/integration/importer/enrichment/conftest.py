"""Imported tables of any columns, on both databases."""

import pytest

from import_pipeline_tests.support.imported_table import ImportedTable


@pytest.fixture
def make_table(home, database_url):
    """Return a function that makes an imported table of the given columns."""
    return lambda columns=None, **more: ImportedTable(home, database_url, columns or {}, **more)
