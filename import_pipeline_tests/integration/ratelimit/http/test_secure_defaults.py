"""Secure defaults: certificates are verified, redirects not followed, cookies not kept."""

import ssl

import httpx
import pytest

from import_pipeline import run_import
from import_pipeline_tests.support.hostile_server import hostile_server
from import_pipeline_tests.support.imports import reasons, settings
from import_pipeline_tests.support.tls_server import certificate, pretender

TOKEN = "planted-secret-token"


def test_nothing_is_sent_to_a_server_without_a_trusted_certificate(home, tmp_path):
    with pretender(certificate(tmp_path, "localhost")) as (url, heard):
        summary = run_import("items", settings=settings(home, url, ITEMS_TOKEN=TOKEN, ITEMS_TIMEOUT="10"))
    assert summary.status == "failed"
    assert "certificate verify failed" in summary.failure_reason
    assert heard == []


def test_the_pretender_would_have_been_heard(tmp_path):
    """A client that trusts the certificate reaches the same server."""
    path = certificate(tmp_path, "localhost")
    with pretender(path) as (url, heard):
        trusting = ssl.create_default_context(cafile=str(path))
        assert httpx.get(url, verify=trusting).json() == {}
    assert heard[0].startswith(b"GET / HTTP/1.1")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_a_redirect_is_not_followed_and_a_cookie_not_kept(home, status):
    elsewhere, cookies = [], []

    def listen(line):
        elsewhere.append(line.asked)
        line.body(b"{}")

    with hostile_server({"stolen": listen}) as other:

        def redirect(line):
            answer = (
                f"HTTP/1.1 {status}\r\nLocation: {other}/api/items/stolen\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n"
            )
            line.say(answer.encode() + b"\r\n")

        def look(line):
            cookies.append(b"cookie" in line.asked.lower())
            line.body(b'{"id": 1, "name": "n", "price": "1.00"}', "Connection: close")

        with hostile_server({"redirect": redirect, "look": look}) as url:
            configured = settings(home, url, ITEMS_TOKEN=TOKEN, ITEMS_CONCURRENCY="1")
            run_import("items", settings=configured)
    [(name, reason)] = reasons(configured).items()
    assert (name, reason) == ("redirect", f"the API answers {status}: redirects are not followed")
    assert elsewhere == []
    assert cookies == [False]
