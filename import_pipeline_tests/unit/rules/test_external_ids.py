"""Texts that may be the id of an item, and the imports that are refused for others."""

import pytest

from import_pipeline.errors import UsageError
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.rules.external_ids import is_external_id
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ItemsSource


@pytest.mark.parametrize("text", ["1", " ", "x" * 255, "\U0001f600", "a\nb"])
def test_what_every_database_stores_is_an_id(text):
    assert is_external_id(text)


@pytest.mark.parametrize("text", ["", "x" * 256, "a\0", "\udcff", "a\ud800b"])
def test_an_import_of_an_id_that_no_database_stores_is_refused_at_once(text):
    """Otherwise it would run without an end: its first statement fails each time."""
    assert not is_external_id(text)
    with pytest.raises(UsageError, match=r"^items: expected ids of 1 to 255 characters, got '"):
        new_import(ItemsSource(), Trigger.CLI, only=("1", text))
