"""The text of a body: read by any declared charset, and never a reason to fail."""

import encodings
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.responses.charsets import charset_of, declared_charset, json_text_as_declared, text_of

#: Every codec that Python has, and names that are none.
NAMES = sorted({each.name for each in pkgutil.iter_modules(encodings.__path__)} - {"mbcs", "oem", "aliases"})
ODD = ["", "undefined", "none", "rot13", "x" * 500, "'utf-8'", '"utf-16"', "utf-8;", "\xe9", "idna", "charset"]


@given(st.binary(max_size=200), st.sampled_from([*NAMES, *ODD]))
def test_no_declared_charset_makes_a_body_unreadable(content, name):
    text = text_of(content, f"text/html; charset={name}")
    assert isinstance(text, str)


@given(st.binary(max_size=100), st.text(max_size=100))
def test_no_content_type_makes_a_body_unreadable(content, content_type):
    text_of(content, content_type)
    json_text_as_declared(content, content_type)


@pytest.mark.parametrize(
    ("content_type", "name"),
    [
        ("application/json", None),
        ("application/json; charset=utf-8", "utf-8"),
        ('text/html;level=1; Charset="ISO-8859-1"', "iso8859-1"),
        ("text/html; charset='cp1252'", "cp1252"),
        ("text/html; charset=rot13", None),
        ("text/html; charset=zlib", None),
        ("text/html; charset=idna", None),
        ("text/html; charset=undefined", None),
        ("text/html; charset=klingon", None),
        ("text/html; charset=", None),
    ],
)
def test_a_declared_charset_counts_if_it_is_one(content_type, name):
    assert declared_charset(content_type) == name


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        ("é".encode("latin-1"), "iso-8859-1", "é"),
        ("é".encode("utf-16"), "utf-16", "é"),
        (b'{"a": 1}', "utf-16", '{"a": 1}'),
        ('{"a": 1}'.encode("utf-16-le"), "utf-16", '{"a": 1}'),
        ('{"a": 1}'.encode("utf-16-be"), "utf-16", '{"a": 1}'),
        (b"\xff", "utf-8", "\N{REPLACEMENT CHARACTER}"),
        (b"plain", "hex", "plain"),
    ],
)
def test_a_body_is_read_by_its_charset_else_by_its_looks(content, name, text):
    assert text_of(content, f"application/json; charset={name}") == text


def test_a_charset_that_cannot_be_right_is_not_used():
    assert charset_of(b"<html>no</html>", "text/html; charset=utf-16") is None
