"""Excerpts of responses and errors in messages."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.importer.excerpts import (
    MARGIN,
    MOST_KEPT,
    body_hints,
    body_text,
    excerpt,
    register_response_secrets,
    response_excerpt,
)

REQUEST = httpx.Request("GET", "https://api.test/", headers={"Accept-Encoding": "gzip, deflate"})
bodies = st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-16", "replace"))
headers = st.text(st.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=80)


def test_a_short_answer_is_quoted_whole_and_without_zero_bytes():
    assert response_excerpt(httpx.Response(200, text='{"price": "\0"}')) == '{"price": "?"}'


def test_a_long_answer_is_masked_before_it_is_cut():
    secret = "kept-under-lock-81"
    body = "x" * (MOST_KEPT - 12) + f" {secret} {{'session_token': '{secret}'}}"
    response = httpx.Response(200, text=body, request=REQUEST)
    register_response_secrets(response)
    assert response_excerpt(response) == "x" * (MOST_KEPT - 12) + " *** {'sessi… (the first 4,096 of 4,143 characters)"


@pytest.mark.parametrize("before", [0, 90, 95, 99, 100 + MARGIN - 10])
def test_no_half_of_a_secret_is_left_where_a_text_is_cut(before):
    secret = "never-to-be-read-by-anyone-4711"
    register_response_secrets(httpx.Response(200, json={"session_token": secret}, request=REQUEST))
    short = excerpt("x" * before + secret + "y" * 2 * MARGIN, 100)
    assert len(short) <= 101
    assert secret[:4] not in short


@given(bodies, headers, headers)
def test_whatever_a_stranger_sent_can_be_quoted_stored_and_explained(body, content_type, encoding):
    fields = [(b"Content-Type", content_type.encode("latin-1"))]
    response = httpx.Response(404, headers=fields, content=body, request=REQUEST)
    response.headers.raw.append((b"Content-Encoding", encoding.encode("latin-1")))
    register_response_secrets(response)
    for text in (response_excerpt(response), body_text(response), body_hints(response)):
        assert isinstance(text, str)
    stored = response_excerpt(response) + body_hints(response)
    assert "\0" not in stored
    assert stored.encode().decode() == stored


def test_a_page_for_people_and_an_encoding_that_is_not_read_are_named():
    page = httpx.Response(200, html="<!doctype html><title>Log\n in</title>", request=REQUEST)
    assert body_hints(page) == "; the body is an HTML page titled 'Log in' from https://api.test, not data"
    packed = httpx.Response(200, headers={"Content-Encoding": "br"}, stream=httpx.ByteStream(b"?"), request=REQUEST)
    packed._content = b"?"
    assert body_hints(packed) == "; its Content-Encoding br was not offered (gzip, deflate) and is not read"
    assert body_hints(httpx.Response(200, json={}, request=REQUEST)) == ""
