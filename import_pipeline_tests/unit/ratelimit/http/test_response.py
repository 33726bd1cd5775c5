"""An answer's text and JSON, whatever charset it declares."""

import json
import pickle
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.ratelimit.http.response import Answer

DATA = {"name": "Zoë", "price": "12 £"}
TEXT = json.dumps(DATA, ensure_ascii=False)


def answer(content, charset=None):
    content_type = "application/json" + (f"; charset={charset}" if charset else "")
    return Answer(200, headers={"Content-Type": content_type}, content=content)


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037"])
def test_json_is_read_in_the_charset_that_it_declares(charset):
    assert answer(TEXT.encode(charset), charset).json() == DATA


@pytest.mark.parametrize("charset", [None, "iso-8859-1", "undefined", "rot13", "klingon", "utf-16", "shift_jis"])
@pytest.mark.parametrize("real", ["utf-8", "utf-16", "utf-16-be", "utf-32-le"])
def test_json_is_decoded_by_the_charset_that_its_bytes_show(charset, real):
    assert answer(TEXT.encode(real), charset).json() == DATA


def test_japanese_that_looks_like_ascii_is_read_as_declared():
    data = {"name": "日本"}
    assert answer(json.dumps(data, ensure_ascii=False).encode("iso-2022-jp"), "iso-2022-jp").json() == data


CHARSETS = ["rot13", "zlib", "idna", "utf-16", "undefined", "hex", "latin-1", "hz", "punycode"]


@given(st.binary(max_size=100), st.sampled_from(CHARSETS))
def test_text_is_always_there_and_json_fails_with_a_value_error_only(content, charset):
    found = answer(content, charset)
    assert isinstance(found.text, str)
    with suppress(ValueError):
        found.json()


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "identity"}, {"Content-Encoding": "klingon"}])
def test_a_received_answer_is_read_as_httpx_reads_its_own(headers):
    """It takes a shorter way to the body, through two attributes of httpx that are not public."""
    body = TEXT.encode()
    theirs = httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))
    ours = Answer.received(theirs, body, {"mark": 1})
    with pytest.raises(httpx.ResponseNotRead):
        ours.content  # noqa: B018
    for each in (ours, theirs):
        each.read()
    for name in ("content", "text", "is_closed", "is_stream_consumed", "num_bytes_downloaded"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.json(), list(ours.iter_bytes(5)), ours.read()) == (DATA, list(theirs.iter_bytes(5)), body)
    assert (ours.extensions["mark"], pickle.loads(pickle.dumps(ours)).content) == (1, body)
