"""The nesting depth of a JSON text, found in one pass."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.ratelimit.http.json_depth import nests_deeper

VALUES = st.recursive(
    st.none() | st.booleans() | st.text(st.sampled_from('[]{}"\\a'), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("[{\\"), inner, max_size=3),
    max_leaves=20,
)


def depth_of(value: object) -> int:
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(value=VALUES)
def test_it_is_what_the_parsed_value_has(value: object) -> None:
    depth, text = depth_of(value), json.dumps(value).encode()
    assert not nests_deeper(text, depth)
    assert depth == 0 or nests_deeper(text, depth - 1)


@pytest.mark.parametrize(
    ("text", "deeper"),
    [
        (b"[" * 101, True),
        (b'\n {"a":' * 1, False),
        (b'{"a":' * 100_000, True),
        (b"[]" * 1000, False),
        (b'["' + b"[" * 1000 + b'"]', False),
        (b'["' + b"[" * 1000, False),
        (b'["' + b'\\"[' * 1000 + b'"]', False),
        (b"<html>" + b"[" * 1000, False),
        (b"", False),
    ],
)
def test_strings_and_what_is_no_json_do_not_count(text: bytes, deeper: bool) -> None:
    assert nests_deeper(text, 100) is deeper


@pytest.mark.parametrize("part", [b'"', b'\\"', b"\\", b'["\\"', b"]", b'[{"a": 1}],'])
def test_no_text_takes_more_than_one_pass(part: bytes) -> None:
    """A megabyte takes some 0.3 s at worst; a second pass per token would take hours."""
    begun = time.process_time()
    nests_deeper(b'["' + part * (1_000_000 // len(part)) + b"[" * 200, 100)
    assert time.process_time() - begun < 10
