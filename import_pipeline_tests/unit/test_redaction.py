"""Secrets never leave in a URL, a header or a log line."""

import io
import logging
import traceback

import httpx
import pytest

from import_pipeline.redaction import (
    MASK,
    MOST_REMEMBERED,
    Secrets,
    mask_logs,
    masking,
    redact,
    register,
    remember_request,
    remember_text,
    secrets_of_address,
)
from import_pipeline.testing import CannedTransport


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("nothing to hide: page=2&per_page=100", "nothing to hide: page=2&per_page=100"),
        ("https://api.test/items?page=2", "https://api.test/items?page=2"),
        ("https://bob:hunter2@api.test/x", "https://***@api.test/x"),
        ("https://token@api.test/x", "https://***@api.test/x"),
        ("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
        ("postgresql+psycopg2://u:p%40ss@db/x failed", "postgresql+psycopg2://u:***@db/x failed"),
        ("postgresql://u:p:q@db/x", "postgresql://u:***@db/x"),
        ("postgresql://u@db/x", "postgresql://***@db/x"),
        ("redis://limits:hunter2@cache:6379/0", "redis://limits:***@cache:6379/0"),
        ("redis+cluster://limits:hunter2@one:1,two:2", "redis+cluster://limits:***@one:1,two:2"),
        ("GET https://a.test/x?token=abc&page=2", "GET https://a.test/x?token=***&page=2"),
        ("https://a.test/x?page=2&api_key=abc#top", "https://a.test/x?page=2&api_key=***#top"),
        ("https://a.test/x?X-Amz-Signature=abc&b=1", "https://a.test/x?X-Amz-Signature=***&b=1"),
        ("https://a.test/x?access_token=a.b-c&client_secret=s", "https://a.test/x?access_token=***&client_secret=***"),
        ("https://a.test/x?monkey=1&keyword=2", "https://a.test/x?monkey=1&keyword=2"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ('{"api_key": "a\\"b", "id": 7}', '{"api_key": "***", "id": 7}'),
        ("{'session_token': 'a', 'code': 'A1'}", "{'session_token': '***', 'code': 'A1'}"),
        ('{"password": "it breaks of', '{"password": "***'),
        ("mail to bob@example.com about https://a.test", "mail to bob@example.com about https://a.test"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_known_secrets_are_masked_everywhere() -> None:
    assert redact("id=s3cret-and-more, s3cret", ["s3cret", "s3cret-and-more", ""]) == "id=***, ***"


def test_a_registered_secret_is_masked_in_every_form() -> None:
    secrets = Secrets()
    secrets.register(["p@ss/word with more"])
    assert secrets.mask("p@ss/word with more, p%40ss%2Fword%20with%20more") == "***, ***"


def test_a_short_secret_is_masked_only_as_a_whole_word() -> None:
    secrets = Secrets()
    secrets.register(["test", "abc"])
    assert secrets.mask("test (test) tests contest abc") == "*** (***) tests contest abc"


def test_old_remembered_secrets_are_dropped_but_registered_ones_stay() -> None:
    secrets = Secrets()
    secrets.register(["kept-for-ever-and-ever"])
    secrets.remember(f"met-number-{number:05}" for number in range(MOST_REMEMBERED + 1))
    said = secrets.mask("kept-for-ever-and-ever met-number-00500")
    assert said == "*** ***"
    secrets.remember(f"met-later-on-{number:05}" for number in range(MOST_REMEMBERED))
    assert secrets.mask("kept-for-ever-and-ever met-number-00500") == "*** met-number-00500"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://api.test/items?page=2", []),
        ("https://bob:hunter2@api.test/x?sig=abc&page=1", ["hunter2", "abc"]),
        ("https://0123456789abcdef:x-oauth@api.test/x", ["x-oauth", "0123456789abcdef"]),
        ("postgresql://importer-of-items:hunter2@db/x", ["hunter2"]),
        ("postgresql://postgres:postgres@db/x", []),
        ("https://same-at-an-api:same-at-an-api@api.test", ["same-at-an-api", "same-at-an-api"]),
        ("http://[broken", []),
    ],
)
def test_the_secrets_of_an_address(address: str, expected: list[str]) -> None:
    assert list(secrets_of_address(address)) == expected


def test_values_under_sensitive_names_are_remembered() -> None:
    remember_request(
        "https://a.test/?access_key=met-in-a-query", [("X-Api-Key", "met-in-a-header"), ("Accept", "all/of-it")]
    )
    remember_request("https://a.test/", [("Authorization", "Custom met-after-a-scheme")])
    remember_text('{"client_secret": "met-in-a-field", "name": "no secret here"')
    remember_text("grant=x&refresh_token=met-in-a-form")
    met = ["met-in-a-query", "met-in-a-header", "met-after-a-scheme", "met-in-a-field", "met-in-a-form"]
    assert [redact(f"seen: {secret}") for secret in met] == ["seen: ***"] * len(met)
    assert redact("all/of-it, no secret here") == "all/of-it, no secret here"


@pytest.mark.anyio
async def test_the_line_that_httpx_logs_is_tamed(caplog: pytest.LogCaptureFixture) -> None:
    register("kept-by-the-log-test")
    mask_logs()
    caplog.set_level(logging.INFO, "httpx")
    async with httpx.AsyncClient(transport=CannedTransport({})) as client:
        await client.get("https://bob:hunter2@api.test/kept-by-the-log-test?token=abc&page=2")
    assert "GET https://***@api.test/***?token=***&page=2" in caplog.text


def test_tracebacks_are_masked_too() -> None:
    register("kept-by-the-traceback-test")
    mask_logs()
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("test.redaction")
    logger.addHandler(handler)
    try:
        raise ValueError("kept-by-the-traceback-test in https://u:p@api.test")
    except ValueError:
        logger.exception("it broke")
    finally:
        logger.removeHandler(handler)
    assert "ValueError: *** in https://***@api.test" in written.getvalue()


def test_a_line_that_cannot_be_made_is_left_to_logging() -> None:
    mask_logs()
    record = logging.getLogger("test").makeRecord("test", logging.INFO, "x.py", 1, "%d", ("x",), None)
    assert record.args == ("x",)


def test_an_error_with_a_secret_becomes_a_masked_copy_with_name_and_cause() -> None:
    def user_code() -> None:
        try:
            raise LookupError("https://u:p@api.test")
        except LookupError:
            raise RuntimeError("all is lost")  # noqa: B904  # the context counts too

    with pytest.raises(Exception, match="all is lost") as caught, masking():
        user_code()
    text = "".join(traceback.format_exception(caught.value))
    assert "LookupError: https://***@api.test" in text
    assert "RuntimeError: all is lost" in text
    assert "in user_code" in text


def test_an_error_without_secrets_leaves_as_it_is() -> None:
    error = ValueError("nothing to hide")
    with pytest.raises(ValueError, match="nothing") as caught, masking():
        raise error
    assert caught.value is error


#: Parts of the patterns' matches: each, repeated, makes a text in which a match may begin anywhere.
FRAGMENTS = ["a.", "a-", "a+", "a:", "a@", "a://", "a://b:", "://", "&token", "?a-token-", '"token": "', "'auth':", '"']
FRAGMENTS += ["bearer ", "basic\t", " ", "\\\\", "token", "secret-", ";key", "&x-", "//", "eyJ.", "=", "&"]


@pytest.mark.parametrize("first", FRAGMENTS)
def test_no_text_costs_more_than_linear_time(first: str) -> None:
    """With quadratic time, one of these texts alone takes a minute or more, and the test's time limit ends it."""
    for second, length in [("", 400_000), *((each, 40_000) for each in FRAGMENTS)]:
        text = (first + second) * (length // len(first + second))
        remember_text(text)
        assert len(redact(text)) <= len(text) * len(MASK)
