"""Text of strangers is shown without an effect on a terminal, a log or a page."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.wording import visible, visible_lines

#: Categories of characters that are not drawn, or that change the text around them.
ACTING = {"Cc", "Zl", "Zp", "Cs"}
DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, \u00e9 and \U0001f389", "plain, \u00e9 and \U0001f389"),
        ("a\x1b]0;title\x07\x1b[2J", r"a\x1b]0;title\x07\x1b[2J"),
        ("b\nFORGED\r\ttab", r"b\nFORGED\r\ttab"),
        ("c\u202egnp.exe", r"c\u202egnp.exe"),
        ("\x9b31m \x7f \u2028 \ud800", r"\x9b31m \x7f \u2028 \ud800"),
        ("", ""),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert visible(text) == expected


@given(st.text(st.characters()))
def test_nothing_that_acts_is_left_in_any_text(text: str) -> None:
    shown = visible(text)
    assert not any(unicodedata.category(character) in ACTING or character in DIRECTIONS for character in shown)
    assert visible(shown) == shown
    shown.encode()


def test_a_text_of_several_lines_keeps_its_lines() -> None:
    assert visible_lines("Traceback:\n\tline\x1b[2J\r") == "Traceback:\n\tline\\x1b[2J\\r"
