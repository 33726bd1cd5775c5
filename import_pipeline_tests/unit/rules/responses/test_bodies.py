"""Pages for people in place of data, and encodings that nothing unpacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.responses.bodies import html_page, unread_encodings


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("<!doctype html><title>Log in</title>", "an HTML page titled 'Log in'"),
        ("\ufeff\n<!DOCTYPE HTML PUBLIC '-//W3C'><HTML><TITLE lang=en>\n Sign\tin &amp; go </TITLE>", None),
        ("<!-- made by us --><html><body>no", "an HTML page"),
        ("<?xml version='1.0'?><html xmlns='x'><head><title></title>", "an HTML page"),
        ("<?xml version='1.0'?><feed/>", ""),
        ('{"html": "<html>"}', ""),
        ("", ""),
        ("<headers/>", ""),
    ],
)
def test_an_html_page_is_recognized_by_its_beginning(text, page):
    expected = "an HTML page titled 'Sign in & go'" if page is None else page or None
    assert html_page(text) == expected


@given(st.text(max_size=300) | st.from_regex(r"(<!--|<\?xml|<html|<title)[<>a -]*"))
def test_any_text_is_a_page_or_none(text):
    assert html_page(text) is None or html_page(text).startswith("an HTML page")


@pytest.mark.parametrize(
    ("header", "unread"),
    [("br", ["br"]), ("GZIP", []), ("gzip, zstd", ["zstd"]), ("identity", []), ("", []), (" , br;q=1", ["br;q=1"])],
)
def test_encodings_that_were_not_offered_are_named(header, unread):
    assert unread_encodings(header, "gzip, deflate;q=0.5") == unread
