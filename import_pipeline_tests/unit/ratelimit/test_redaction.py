"""Secrets never leave in a URL, a header or a log line."""

import io
import logging

import httpx
import pytest

from import_pipeline.ratelimit.redaction import RedactingFilter, redact, redact_headers
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
        ("postgresql+psycopg2://u:p%40ss@db/x failed", "postgresql+psycopg2://***@db/x failed"),
        ("GET https://a.test/x?token=abc&page=2", "GET https://a.test/x?token=***&page=2"),
        ("https://a.test/x?page=2&api_key=abc#top", "https://a.test/x?page=2&api_key=***#top"),
        ("https://a.test/x?X-Amz-Signature=abc&b=1", "https://a.test/x?X-Amz-Signature=***&b=1"),
        ("https://a.test/x?access_token=a.b-c&client_secret=s", "https://a.test/x?access_token=***&client_secret=***"),
        ("https://a.test/x?monkey=1&keyword=2", "https://a.test/x?monkey=1&keyword=2"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("mail to bob@example.com about https://a.test", "mail to bob@example.com about https://a.test"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    assert redact("id=s3cret-and-more, s3cret", ["s3cret", "s3cret-and-more", ""]) == "id=***, ***"


def test_headers() -> None:
    headers = {"Authorization": "Bearer x", "X-Api-Key": "x", "Cookie": "a=b", "Accept": "text/plain", "X-Mine": "s3c"}
    masked = {"Authorization": "***", "X-Api-Key": "***", "Cookie": "***", "Accept": "text/plain", "X-Mine": "***"}
    assert redact_headers(headers, ["s3c"]) == masked


@pytest.mark.anyio
async def test_the_line_that_httpx_logs_is_tamed() -> None:
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("httpx")
    handler.addFilter(RedactingFilter(["s3cret"]))
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        async with httpx.AsyncClient(transport=CannedTransport({})) as client:
            await client.get("https://bob:hunter2@api.test/s3cret?token=abc&page=2")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert "GET https://***@api.test/***?token=***&page=2" in written.getvalue()


def test_tracebacks_are_masked_too() -> None:
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("test.redaction")
    handler.addFilter(RedactingFilter(["s3cret"]))
    logger.addHandler(handler)
    try:
        raise ValueError("s3cret in https://u:p@api.test")
    except ValueError:
        logger.exception("it broke")
    finally:
        logger.removeHandler(handler)
    assert "s3cret" not in written.getvalue()
    assert "ValueError: *** in https://***@api.test" in written.getvalue()
