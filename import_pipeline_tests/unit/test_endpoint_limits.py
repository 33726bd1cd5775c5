"""Limits per endpoint: as a mapping in a source, as a text in a setting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.contracts import check_source
from import_pipeline.errors import ContractError, SettingError
from import_pipeline.importer.source_loader import configure, with_limits_of_their_api
from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.settings import load_settings
from import_pipeline.settings.endpoint_limits import join_endpoints, replaced, split_endpoints, together
from import_pipeline.sources.items import ItemsSource

TEXTS = [
    ("", {"": ""}),
    ("none", {"": ""}),
    ("100/10 second; 20 concurrent", {"": "100/10 second; 20 concurrent"}),
    ("100/10 second; /search: 5/1 second", {"": "100/10 second", "/search": "5/1 second"}),
    ("/search: 5/1 second, 50/minute", {"": "", "/search": "5/1 second; 50/minute"}),
    ("1/second\n/a/: 2/second | /b: none", {"": "1/second", "/a": "2/second", "/b": ""}),
    ("/: 9/second; /a:2/second", {"": "9/second", "/a": "2/second"}),
    ("/v1/items:batchGet: 5/1 second", {"": "", "/v1/items:batchGet": "5/1 second"}),
]


def test_none_means_no_limits():
    assert type("Free", (ItemsSource,), {"limits": None})().limits_text == ""


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_a_text_names_the_limits_of_each_path(text, expected):
    assert split_endpoints(text) == expected


@pytest.mark.parametrize("text", ["/a: 1/second; /a: 2/second", "5/second; /: 2/second", "/a/: 1/second; /a: 2/second"])
def test_a_path_comes_once(text):
    with pytest.raises(ValueError, match="twice"):
        split_endpoints(text)


PATHS = st.from_regex(r"(/[a-z0-9._:-]{1,5}){1,3}", fullmatch=True)
LIMITS = st.sampled_from(["", "5/1 second", "500/20 second; 2000/100 second", "20 concurrent; 7/minute"])


@given(st.dictionaries(PATHS | st.just(""), LIMITS, max_size=4))
def test_a_mapping_is_the_same_as_its_text(limits):
    assert split_endpoints(join_endpoints(limits)) == {"": "", **limits}


@pytest.mark.parametrize(
    ("own", "setting", "expected"),
    [
        ("1/second", "2/second", "2/second"),
        ("1/second; /a: 3/second", "2/second", "2/second; /a: 3/second"),
        ("1/second; /a: 3/second", "", "/a: 3/second"),
        ("1/second; /a: 3/second", "2/second; /b: 4/second", "2/second; /b: 4/second"),
    ],
)
def test_a_setting_without_a_path_replaces_the_default_alone(own, setting, expected):
    assert replaced(own, setting) == expected


class Searching(ItemsSource):
    """Has a limit of its own for the search."""

    limits = {"/search": "5/1 second", "": "100/10 second"}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({}, "100/10 second; /search: 5/1 second"),
        ({"ITEMS_LIMITS": "7/second"}, "7/second; /search: 5/1 second"),
        ({"ITEMS_LIMITS": "none"}, "/search: 5/1 second"),
        ({"ITEMS_LIMITS": "7/second; /users: 1/second"}, "7/second; /users: 1/second"),
    ],
)
def test_the_setting_takes_the_text_form(tmp_path, setting, expected):
    [source] = configure([check_source(Searching())], load_settings(setting, tmp_path))
    assert source.limits_text == expected
    assert set(parse_limits(source.limits_text)) == set(split_endpoints(expected))


@pytest.mark.parametrize(
    "limits",
    [
        {"search": "5/1 second"},
        {"/search": "five"},
        {"/search": 5},
        {"/sea rch": "5/1 second"},
        {"/search": "5/1 second", "/search/": "6/1 second"},
        {"": "0/1 second"},
        ["5/1 second"],
    ],
)
def test_limits_that_cannot_be_kept_to_are_refused_with_what_is_expected(limits):
    with pytest.raises(ContractError, match="limits"):
        check_source(type("Wrong", (ItemsSource,), {"limits": limits})())


@pytest.mark.parametrize("text", ["/search: five", "/search", "/a: 1/second; /a: 2/second", ";"])
def test_a_setting_that_cannot_be_read_is_refused(tmp_path, text):
    with pytest.raises(SettingError, match="ITEMS_LIMITS"):
        configure([Searching()], load_settings({"ITEMS_LIMITS": text}, tmp_path))


def test_a_source_without_limits_gets_those_of_the_others_path_by_path():
    one, other = Searching(), type("Other", (ItemsSource,), {"limits": "9/minute", "name": "other", "api": "items"})()
    plain = type("Plain", (ItemsSource,), {"limits": "", "name": "plain", "api": "items"})()
    assert with_limits_of_their_api([one, other, plain])[2].limits == "100/10 second; 9/minute; /search: 5/1 second"
    assert together(["1/second", "1/second"]) == "1/second"
