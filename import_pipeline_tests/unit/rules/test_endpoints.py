"""The endpoint of a request: the longest path prefix with limits of its own, by whole segments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.endpoints import endpoint_of, shares

PREFIXES = ("", "/search", "/search/code", "/users")
CASES = [
    ("/search", "/search"),
    ("/search/", "/search"),
    ("/search/issues", "/search"),
    ("/search/code", "/search/code"),
    ("/search/code/1", "/search/code"),
    ("/search/codes", "/search"),
    ("/searches", ""),
    ("/items/search", ""),
    ("/", ""),
    ("", ""),
]


@pytest.mark.parametrize("base", ["", "/", "/api/v3", "/api/v3/"])
@pytest.mark.parametrize(("path", "expected"), CASES)
def test_the_longest_prefix_of_whole_segments_counts_from_the_base_address(path, expected, base):
    assert endpoint_of(PREFIXES, base.rstrip("/") + path, base) == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("/api/v3/search", "/api/v3/search"), ("/api/v3/items", ""), ("/search", "")]
)
def test_a_prefix_may_also_begin_at_the_root(path, expected):
    assert endpoint_of(("/api/v3/search",), path, "/api/v3") == expected


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4).map(
    lambda parts: "".join(f"/{p}" for p in parts)
)


@given(prefixes=st.lists(SEGMENTS, max_size=4), path=SEGMENTS)
def test_exactly_one_endpoint_serves_each_path(prefixes, path):
    found = endpoint_of(tuple(prefixes), path)
    assert found == "" or (found in prefixes and f"{path}/".startswith(f"{found}/"))
    longer = [each for each in prefixes if len(each) > len(found) and f"{path}/".startswith(f"{each}/")]
    assert longer == []


def test_shares_add_up_and_all_is_the_defaults_before_the_first_request():
    assert shares({}) == {"": 1.0}
    assert shares({"": 30, "/search": 10, "/users": 0}) == {"": 0.75, "/search": 0.25}
