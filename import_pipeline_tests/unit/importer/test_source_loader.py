"""The list of sources: what is refused when it is loaded, and what is only remarked."""

import logging
import sys
from types import SimpleNamespace

import pytest

from import_pipeline.errors import ContractError, HookFailed
from import_pipeline.importer.source_loader import (
    configure,
    configured_among_others,
    load_each,
    shared_tables,
    validate,
)
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
    with pytest.raises(ContractError, match="a unique name, got the name of two sources"):
        configure([source("items"), source("Items")], settings)


def test_two_sources_that_write_into_one_table_are_remarked_once(settings, caplog):
    listed = [source("shop_one"), source("shop_two"), source("shop_three")]
    [note] = shared_tables(listed)
    assert note.startswith("the sources shop_one and shop_two and shop_three write to one table, imported_items: ")
    with caplog.at_level(logging.WARNING):
        configure(listed, settings)
        configure(listed, settings)
    assert [record.action for record in caplog.records] == ["sources_share_a_table"]
    assert shared_tables([source()]) == []


def test_a_faulty_source_of_one_list_leaves_the_sources_of_all_lists(tmp_path, monkeypatch):
    lists = {"first_list": [source("good"), source("odd", per_page=0)], "second_list": [source("other")]}
    for name, sources in lists.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(SOURCES=sources))
    listed = "first_list:SOURCES, second_list:SOURCES"
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path), "IMPORT_PIPELINE_SOURCES": listed}, tmp_path)
    found, errors = load_each(settings)
    assert [each.name for each in found] == ["good", "other"]
    assert list(errors) == ["odd"]
    assert "per_page" in str(errors["odd"])


@pytest.mark.parametrize("attribute", ["api", "limits", "partitions", "per_page"])
def test_an_attribute_that_cannot_be_read_is_a_mistake_of_the_source(attribute):
    odd = source(**{attribute: property(raising(RuntimeError("not yet")))})
    with pytest.raises(
        ContractError, match=r"Odd\.class: .* got RuntimeError: not yet \(.*test_source_loader\.py, line \d+\)"
    ):
        validate([odd], "a:SOURCES")


@pytest.mark.parametrize("api", [None, "", 7])
def test_an_api_is_a_name(api):
    with pytest.raises(ContractError, match=r"items\.api: expected a name, got"):
        validate([source(api=api)], "a:SOURCES")


def test_a_list_that_cannot_be_read_is_a_mistake(settings):
    def sources():
        yield source()
        raise OSError("no file")

    with pytest.raises(ContractError, match="got OSError: no file"):
        validate(sources(), "a:SOURCES")


@pytest.mark.parametrize(
    ("configured", "sentence"),
    [
        (raising(KeyError("region")), r"Odd\.configured raises KeyError: 'region' \(.*test_source_loader\.py, line"),
        (lambda self, settings: None, r"Odd\.configured must return the source, configured, got None"),
        (lambda self, settings: SimpleNamespace(), r"Odd\.configured must return the source, configured, got "),
    ],
)
def test_a_source_that_cannot_take_its_settings_is_named(settings, configured, sentence):
    with pytest.raises(HookFailed, match=sentence):
        configure([source(configured=configured)], settings)


def test_a_source_without_limits_gets_those_of_the_others_of_its_api(settings):
    """Two of four have limits. One of another API and one whose limits are a property are left unchanged."""
    listed = [
        source("one", api="shop", limits="30/1 second"),
        source("two", api="shop", limits=""),
        source("three", api="shop", limits="500/20 second; 5 concurrent"),
        source("four", api="shop", limits=""),
        source("five", api="other", limits=""),
        source("six", api="shop", limits=property(lambda self: "")),
    ]
    shared = "30/1 second; 500/20 second; 5 concurrent"
    limits = [each.limits for each in configure(listed, settings)]
    assert limits == ["30/1 second", shared, "500/20 second; 5 concurrent", shared, "", ""]
    assert listed[1].limits == "", "the user's own object is left alone"


def test_a_setting_of_one_source_limits_the_others_of_its_api(tmp_path):
    settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path), "ONE_LIMITS": "7/1 second"}, tmp_path)
    listed = [source("one", api="shop", limits=""), source("two", api="shop", limits="")]
    assert [each.limits for each in configure(listed, settings)] == ["7/1 second", "7/1 second"]


LISTED = [source("one", api="shop", limits="30/1 second"), source("two", api="shop", limits="")]


@pytest.mark.parametrize(
    ("listed", "expected"), [(f"{__name__}:LISTED", "30/1 second"), (f"{__name__}:ABSENT", ""), ("no.such:LIST", "")]
)
def test_what_is_built_around_one_source_knows_the_limits_of_its_api(tmp_path, listed, expected):
    variables = {"IMPORT_PIPELINE_HOME": str(tmp_path), "IMPORT_PIPELINE_SOURCES": listed}
    assert configured_among_others(LISTED[1], load_settings(variables, tmp_path)).limits == expected
