"""The list of sources: what is refused when it is loaded, and what is only remarked."""

import logging
from types import SimpleNamespace

import pytest

from import_pipeline.errors import ContractError, HookFailed
from import_pipeline.importer.sources import checked, configure, shared_tables
from import_pipeline.settings import load_settings
from import_pipeline.sources.items import ItemsSource


def source(name="items", **attributes):
    return type("Odd", (ItemsSource,), {"__module__": __name__, "name": name, **attributes})()


def raising(error):
    def fail(*_):
        raise error

    return fail


@pytest.fixture
def settings(tmp_path):
    return load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path)}, tmp_path)


def test_two_sources_may_not_differ_in_big_letters_only(settings):
    with pytest.raises(ContractError, match="a name of its own, got the name of two sources"):
        configure([source("items"), source("Items")], settings)


def test_two_sources_that_write_into_one_table_are_remarked_once(settings, caplog):
    listed = [source("shop_one"), source("shop_two"), source("shop_three")]
    [note] = shared_tables(listed)
    assert note.startswith("the sources shop_one and shop_two and shop_three write into one table, imported_items: ")
    with caplog.at_level(logging.WARNING):
        configure(listed, settings)
        configure(listed, settings)
    assert [record.action for record in caplog.records] == ["sources_share_a_table"]
    assert shared_tables([source()]) == []


@pytest.mark.parametrize("attribute", ["api", "limits", "partitions", "per_page"])
def test_an_attribute_that_cannot_be_read_is_a_mistake_of_the_source(attribute):
    odd = source(**{attribute: property(raising(RuntimeError("not yet")))})
    with pytest.raises(
        ContractError, match=r"Odd\.class: .* got RuntimeError: not yet \(.*test_sources\.py, line \d+\)"
    ):
        checked([odd], "a:SOURCES")


@pytest.mark.parametrize("api", [None, "", 7])
def test_an_api_is_a_name(api):
    with pytest.raises(ContractError, match=r"items\.api: expected a name, got"):
        checked([source(api=api)], "a:SOURCES")


def test_a_list_that_cannot_be_read_is_a_mistake(settings):
    def sources():
        yield source()
        raise OSError("no file")

    with pytest.raises(ContractError, match="got OSError: no file"):
        checked(sources(), "a:SOURCES")


@pytest.mark.parametrize(
    ("configured", "sentence"),
    [
        (raising(KeyError("region")), r"Odd\.configured raises KeyError: 'region' \(.*test_sources\.py, line"),
        (lambda self, settings: None, r"Odd\.configured must return the source, configured, got None"),
        (lambda self, settings: SimpleNamespace(), r"Odd\.configured must return the source, configured, got "),
    ],
)
def test_a_source_that_cannot_take_its_settings_is_named(settings, configured, sentence):
    with pytest.raises(HookFailed, match=sentence):
        configure([source(configured=configured)], settings)
