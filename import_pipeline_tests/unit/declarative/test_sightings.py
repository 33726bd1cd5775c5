"""The paths that answers had: presence counts, not the value, and a null on the way proves nothing."""

import pytest

from import_pipeline.declarative.sightings import listed, may_have
from import_pipeline.declarative.source import RestSource


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        ({"name": None}, "name", True),
        ({"nam": 1}, "name", False),
        ({"a": {"b": 0}}, "a.b", True),
        ({"a": {"c": 0}}, "a.b", False),
        ({"a": None}, "a.b", True),
        ({"a": "text"}, "a.b", False),
        ({"a.b": 1}, "a.b", True),
        ({"lines": []}, "lines.0.sku", True),
        ({"lines": [{"sku": 1}]}, "lines.0.sku", True),
        ({"lines": [{"sk": 1}]}, "lines.0.sku", False),
        ({"lines": [{"sku": 1}]}, "lines.sku", False),
        ("text", "0", False),
    ],
)
def test_a_document_shows_that_it_lacks_a_path(body, path, expected):
    assert may_have(body, path) is expected


def sightings(**words):
    source = RestSource(name="orders", list="/orders", pages="one_page", **words)
    return source.model.sightings


def test_one_item_with_the_path_is_enough():
    seen = sightings(columns={"phone": "phone", "email": "contact.mial"})
    assert seen.sentences() == []
    for item in ({"contact": {"mail": 1}}, {"phone": None, "contact": {"mail": 1}}):
        seen.of_item(item)
    assert seen.sentences() == ["column email: no item has contact.mial (did you mean contact.mail?)"]
    assert seen.sentences(without=["email"]) == []
    seen.begin()
    assert seen.sentences() == []


def test_a_column_that_only_the_list_has_needs_from_list():
    seen = sightings(columns={"name": "name"}, detail="/orders/{id}")
    seen.of_item({"name": "Ada"})
    assert seen.sentences() == []
    seen.of_detail({"id": 1})
    assert seen.sentences() == ["column name: no detail has name, but the list has it: set from_list: true"]


def test_a_list_whose_pages_name_no_next_one():
    source = RestSource(name="orders", list="/orders", items="data", pages={"type": "next_url", "path": "nxt"})
    seen = source.model.sightings
    seen.of_page({"data": []})
    seen.of_item({"id": 1})
    assert seen.sentences() == []  # a list of one page may leave it out
    seen.begin()
    seen.of_page({"data": [], "next": None})
    assert seen.sentences() == []
    seen.of_item({"id": 1})
    assert seen.sentences() == ["pages: no list page has nxt (did you mean next?), so the list ended at its first page"]


def test_many_clauses_are_cut():
    assert listed([f"column {number}: no" for number in range(12)]).endswith("column 9: no; and 2 more")
