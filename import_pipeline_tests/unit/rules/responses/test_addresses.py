"""The address that a next request means."""

import pytest

from import_pipeline.rules.responses.addresses import resolve

BASE = "https://api.test/api/v1/"
PAGE = "https://api.test/api/v1/things?page=1"


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("https://api.test/api/v1/things?page=2", "https://api.test/api/v1/things?page=2"),
        ("//api.test/api/v1/things?page=2", "https://api.test/api/v1/things?page=2"),
        ("/api/v1/things?page=2", "https://api.test/api/v1/things?page=2"),
        ("?page=2", "https://api.test/api/v1/things?page=2"),
        ("things?page=2", "https://api.test/api/v1/things?page=2"),
        ("./things?page=2", "https://api.test/api/v1/things?page=2"),
        ("../v1/things?page=2", "https://api.test/api/v1/things?page=2"),
        ("/things?cursor=b", "https://api.test/api/v1/things?cursor=b"),
        ("/api/v1/more/b", "https://api.test/api/v1/more/b"),
        ("/more/b", "https://api.test/api/v1/more/b"),
        ("/things?c=a%2Fb%3d%7e+c|d[x]", "https://api.test/api/v1/things?c=a%2Fb%3d%7e+c|d[x]"),
    ],
)
def test_a_reference_means_the_page_that_has_the_path_of_the_page_before(reference, address):
    assert resolve(reference, page=PAGE, base=BASE, is_quoted=False) == address


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("/query/01g-2000", "https://api.test/query/01g-2000"),
        ("more/b", "https://api.test/api/v1/more/b"),
        ("../v2/things?page=2", "https://api.test/api/v2/things?page=2"),
        ("/things?cursor=b", "https://api.test/api/v1/things?cursor=b"),
    ],
)
def test_a_link_that_the_answer_quotes_is_relative_to_the_page(reference, address):
    assert resolve(reference, page=PAGE, base=BASE, is_quoted=True) == address


def test_without_a_path_in_the_base_both_readings_are_one():
    for is_quoted in (True, False):
        assert resolve("/a/b?c", page="https://api.test/a/x", base="https://api.test", is_quoted=is_quoted) == (
            "https://api.test/a/b?c"
        )


def test_a_path_below_the_base_is_not_resolved_in_the_folder_of_the_page():
    page = "https://api.test/api/v1/orgs/7/things?take=5"
    assert resolve("orgs/7/things?take=5&after=b", page=page, base=BASE, is_quoted=False) == (
        "https://api.test/api/v1/orgs/7/things?take=5&after=b"
    )
