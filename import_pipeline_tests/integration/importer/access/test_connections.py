"""Real connections of a connector: certificates to trust, client certificates, proxies."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from import_pipeline import Connector
from import_pipeline.clock import SystemClock
from import_pipeline.errors import SettingError
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.sources.items import ItemsSource
from import_pipeline.tracking import events
from import_pipeline_tests.support.imports import counts, import_through, settings, tracking
from import_pipeline_tests.support.tls_server import certificate, pretender

PAGE = json.dumps({"data": [], "current_page": 1, "last_page": 1, "total": 0}).encode()


class Connected(ItemsSource):
    """The items, with options of the connector."""

    options: dict = {}

    def connector(self, settings):
        return Connector(base_url=self.base_url, **self.options)


@pytest.fixture
def imported(home):
    """A function of an address and of the connector's options that imports, and returns the summary."""

    def take(url, **options):
        source = type("Connected", (Connected,), {"options": options})()
        return import_through(None, source, settings(home, url, ITEMS_TIMEOUT="10"))

    return take


def test_a_certificate_of_ones_own_is_trusted_by_its_file(imported, tmp_path):
    path = certificate(tmp_path, "localhost")
    with pretender(path, PAGE) as (url, heard):
        assert imported(url).status == "failed"
        assert heard == []
        assert counts(imported(url, verify=str(path))) == ("completed", 0, 0, 0, 0)
        assert counts(imported(url, verify=path)) == ("completed", 0, 0, 0, 0)


def test_no_verification_works_with_a_warning(imported, tmp_path, caplog, home):
    with pretender(certificate(tmp_path, "localhost"), PAGE) as (url, _):
        summary = imported(url, verify=False)
    assert summary.status == "completed"
    with tracking(settings(home, url)) as connection:
        actions = [action for _, action, _ in events.latest(connection, summary.import_id)]
    assert "certificates_not_verified" in actions
    warned = [record for record in caplog.records if getattr(record, "action", "") == "certificates_not_verified"]
    assert [record.levelname for record in warned] == ["WARNING"]


def test_a_client_certificate_is_shown_to_a_server_that_wants_one(imported, tmp_path):
    path, client = certificate(tmp_path, "localhost"), certificate(tmp_path, "client", password="pw-of-the-key")
    with pretender(path, PAGE, client=client) as (url, _):
        assert imported(url, verify=path).status == "failed"
        with_password = imported(url, verify=path, cert=(client, client, "pw-of-the-key"))
    assert counts(with_password) == ("completed", 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("cert", "said"),
    [
        (lambda one, two, locked: (one, two), "the key does not belong to the certificate"),
        (lambda one, two, locked: locked, "the key needs a password"),
        (lambda one, two, locked: (locked, locked, "wrong"), "the password is wrong"),
    ],
    ids=["another key", "no password", "a wrong password"],
)
def test_an_unusable_client_certificate_is_named_at_the_start(imported, tmp_path, cert, said):
    one, two = certificate(tmp_path, "one"), certificate(tmp_path, "two")
    locked = certificate(tmp_path, "locked", password="pw-of-the-key")
    summary = imported("https://localhost:9", cert=cert(one, two, locked))
    assert summary.status == "failed"
    assert summary.failure_reason.startswith("items: Connector.cert: expected a PEM file with certificate and key")
    assert said in summary.failure_reason.partition(", got ")[2]
    assert summary.requests_count == 0


def test_a_file_without_certificates_is_named_at_the_start(imported, tmp_path):
    path = tmp_path / "empty.pem"
    path.write_text("no PEM")
    reason = imported("https://localhost:9", verify=path).failure_reason
    assert reason.startswith("items: Connector.verify: expected True, or a file or folder of PEM certificates, got ")
    assert "which cannot be read" in reason


@asynccontextmanager
async def recording_proxy():
    """A proxy that answers each request with an empty page; yields its port and the heads of requests."""
    heads = []

    async def serve(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], heads


@pytest.mark.anyio
async def test_the_proxy_of_the_connector_wins_over_that_of_the_environment(home, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with recording_proxy() as (port, heads):
        options = {"proxy": f"http://bob:pw-of-the-proxy@127.0.0.1:{port}"}
        source = type("Connected", (Connected,), {"options": options, "base_url": "http://api.internal.example"})()
        configured = settings(home, "http://api.internal.example")
        async with open_api(source, configured, SystemClock()) as api:
            response = await api.send(source.list_request(1, 10))
    assert response.status_code == 200
    assert heads[0].startswith("GET http://api.internal.example/api/items?page=1&perPage=10 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic " in heads[0]


@pytest.mark.anyio
async def test_a_proxy_that_cannot_be_used_is_refused_before_any_request(home):
    source = type("Connected", (Connected,), {"options": {"proxy": "socks5://127.0.0.1:1"}})()
    with pytest.raises(SettingError, match=r"items: Connector\.proxy: expected an http:// or https:// address"):
        async with open_api(source, settings(home, "http://api.internal.example"), SystemClock()):
            pass
