"""What is quoted of an answer."""

import httpx

from import_pipeline.importer.quoting import MOST_KEPT, quoted, reading


def test_a_short_answer_is_quoted_whole_and_without_zero_bytes():
    assert quoted(httpx.Response(200, text='{"price": "\0"}')) == '{"price": "?"}'


def test_a_long_answer_is_masked_before_it_is_cut():
    secret = "kept-for-nobody-81"
    body = "x" * (MOST_KEPT - 12) + f" {secret} {{'session_token': '{secret}'}}"
    response = httpx.Response(200, text=body, request=httpx.Request("GET", "https://api.test/"))
    try:
        with reading(response):
            raise ValueError
    except ValueError:
        assert quoted(response) == "x" * (MOST_KEPT - 12) + " *** {'sessi… (the first 4,096 of 4,113 characters)"
