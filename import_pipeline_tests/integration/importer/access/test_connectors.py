"""Connectors: parameters that no output has, further origins, and values that are refused before any request."""

import json

import httpx
import pytest

from import_pipeline import Connector, JwtBearer, OAuth2, Origin, Retry
from import_pipeline.sources.items import ImportedItem, ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import counts, import_through, latest, reasons, settings, tracking

URL = "https://api.test"
FILES = "https://files.test"
KEY = "appid-9c41d07e52"


class Item(ImportedItem):
    """An item whose detail is at the address that the list gives."""

    def detail_request(self):
        return httpx.Request("GET", self.name)


class Linked(ItemsSource):
    """A list of pages whose next link repeats all parameters; details are where the list says."""

    model = Item
    options: dict = {}
    retry = Retry(tries=1)

    def connector(self, settings):
        values = {"headers": {"X-Key": "header-77bd1c"}, "params": {"appid": KEY, "units": "metric"}}
        return Connector(base_url=self.base_url, **{**values, **self.options})

    def next_request(self, response, page):
        link = response.json().get("next")
        return None if link is None else httpx.Request("GET", link)

    def stub(self, item):
        return Item(external_id=str(item["id"]), name=item["url"])


def linked(**options):
    """Return the source with a connector that has these options."""
    return type("Linked", (Linked,), {"options": options})()


def page(url, following=None):
    return {"data": [{"id": url.rpartition("/")[2], "url": url}], "next": following}


def take(home, answer, source, **variables):
    transport = CannedTransport(answer)
    configured = settings(home, URL, **variables)
    return import_through(transport, source, configured), transport.requests, configured


def test_parameters_are_sent_with_every_request_and_are_in_no_file(home, caplog):
    caplog.set_level("DEBUG")

    def answer(request):
        assert request.url.params["appid"] == KEY
        if request.url.path == "/api/items" and "start" not in request.url.params:
            return page("/api/items/1", f"{URL}/api/items?start=2&appid={KEY}")
        if request.url.path == "/api/items":
            return page("/api/items/2")
        return httpx.Response(400, json={"asked": str(request.url)})

    summary, requests, configured = take(home, answer, linked())
    assert counts(summary) == ("completed", 2, 0, 0, 2)
    assert [len(request.url.params.get_list("appid")) for request in requests] == [1] * 4
    assert {request.url.params.get("units") for request in requests} == {"metric"}
    with tracking(configured):
        assert KEY not in json.dumps(latest(configured).checkpoint)
    searched = [path for path in home.rglob("*") if path.is_file()]
    assert [path.name for path in searched if KEY.encode() in path.read_bytes()] == []
    assert KEY not in caplog.text


def origin_of(request):
    return f"{request.url.scheme}://{request.url.host}"


def has_credentials(request):
    return "x-key" in request.headers, "authorization" in request.headers, "appid" in request.url.params


@pytest.mark.parametrize("with_credentials", [False, True])
def test_a_further_origin_gets_credentials_only_if_the_connector_says_so(home, with_credentials):
    origin = Origin(FILES, credentials=True) if with_credentials else FILES
    source = linked(origins=(origin,), auth=("user", "password-of-ours"))

    def answer(request):
        if request.url.path == "/api/items":
            return page(f"{FILES}/things/1")
        return {"id": 1, "name": "n", "price": "1.00"}

    summary, requests, _ = take(home, answer, source)
    assert counts(summary) == ("completed", 1, 1, 0, 0)
    found = {origin_of(request): has_credentials(request) for request in requests}
    assert found == {URL: (True, True, True), FILES: (with_credentials,) * 3}


def test_an_origin_that_is_not_listed_gets_nothing(home):
    def answer(request):
        return page("https://evil.test/1")

    summary, requests, configured = take(home, answer, linked(origins=(FILES,)))
    assert counts(summary) == ("completed", 1, 0, 0, 1)
    assert {origin_of(request) for request in requests} == {URL}
    assert reasons(configured)["1"].endswith(
        "a request would go to https://evil.test, expected the source's own origin https://api.test or one of its "
        "further origins"
    )


def test_a_list_that_continues_at_another_origin_is_resumed_there(home):
    class ProcessDied(BaseException):
        pass

    asked, deaths = [], [FILES]

    def answer(request):
        asked.append(f"{origin_of(request)}{request.url.path}")
        if request.url.path == "/more" and deaths:
            deaths.pop()
            raise ProcessDied
        if request.url.path == "/api/items":
            return page("/api/items/1", f"{FILES}/more?cursor=2")
        if request.url.path == "/more":
            return page("/api/items/2")
        return {"id": 1, "name": "n", "price": "1.00"}

    source = linked(origins=(FILES,))
    with pytest.raises(ProcessDied):
        take(home, answer, source)
    summary, _, _ = take(home, answer, source)
    assert counts(summary) == ("completed", 2, 2, 0, 0)
    assert asked.count(f"{URL}/api/items") == 1
    assert asked.count(f"{FILES}/more") == 2


PEM = "True, or a file or folder of PEM certificates"
CERT = "a PEM file with certificate and key, or (certificate, key), or (certificate, key, password)"
PROXY = "an http:// or https:// address of a proxy, with its port"
ORIGIN = "scheme, host and port, such as https://files.example.com"
HIDDEN = "a value that is not shown"
WRONG = [
    ({"params": {"appid": 7}}, "Connector.params: expected names and texts, such as {'appid': key}, got " + HIDDEN),
    ({"params": ["appid"]}, "Connector.params: expected names and texts, such as {'appid': key}, got " + HIDDEN),
    ({"auth": 7}, "Connector.auth: expected an httpx.Auth, OAuth2 or JwtBearer, got int"),
    ({"proxy": "socks5://proxy:1"}, f"Connector.proxy: expected {PROXY}, got socks5://proxy:1"),
    ({"proxy": ""}, f"Connector.proxy: expected {PROXY}, or None, got an empty text"),
    ({"proxy": 7}, "Connector.proxy: expected the address of a proxy, or None, got int"),
    ({"verify": "/no/such.pem"}, f"Connector.verify: expected {PEM}, got '/no/such.pem', which does not exist"),
    ({"verify": None}, f"Connector.verify: expected {PEM}, got NoneType"),
    ({"cert": "/no/such.pem"}, f"Connector.cert: expected {CERT}, got '/no/such.pem', which does not exist"),
    ({"cert": 7}, "Connector.cert: expected the path of a PEM file, or a tuple of paths, got int"),
    ({"origins": FILES}, f"Connector.origins: expected a tuple, such as ('https://files.example.com',), got '{FILES}'"),
    ({"origins": ("files.test",)}, f"Connector.origins: expected {ORIGIN}, got 'files.test'"),
    ({"origins": (f"{FILES}/path",)}, f"Connector.origins: expected {ORIGIN}, got '{FILES}/path'"),
    ({"origins": (Origin(f"https://u:p@{FILES[8:]}"),)}, f"Connector.origins: expected {ORIGIN}, got {HIDDEN}"),
    ({"auth": OAuth2("", "id", "s")}, "OAuth2.token_url: expected an address such as https://login.example.com/"),
    (
        {"auth": OAuth2("https://", "id", "s")},
        "OAuth2.token_url: expected an address such as https://login.example.com/",
    ),
    ({"auth": OAuth2("ftp://x/token", "id", "s")}, "OAuth2.token_url: expected an address such as https://login."),
    ({"auth": OAuth2("/token", "", "s")}, "OAuth2.client_id: expected a text, got nothing"),
    ({"auth": OAuth2("/token", "id", "")}, "OAuth2.client_secret: expected the client's secret, or a refresh token, "),
    ({"auth": OAuth2("/token", "id", None)}, "OAuth2.client_secret: expected a text, got NoneType"),
    ({"auth": OAuth2("/token", "id", "s", body="xml")}, "OAuth2.body: expected form or json, got 'xml'"),
    (
        {"auth": OAuth2("/token", "id", "s", client_auth="jwt")},
        "OAuth2.client_auth: expected auto, body or basic, got ",
    ),
    ({"auth": OAuth2("/token", "id", "s", params={"a": 1})}, "OAuth2.params: expected names and texts, got " + HIDDEN),
    ({"auth": OAuth2("/token", "id", "s", timeout=0)}, "OAuth2.timeout: expected seconds above 0 and below 600, got 0"),
    (
        {"auth": JwtBearer("/token", "me", "no key")},
        f"JwtBearer.private_key: expected a private key as PEM text, for RS256, got {HIDDEN}",
    ),
    ({"auth": JwtBearer("/token", "me", "k", algorithm="none")}, "JwtBearer.algorithm: expected one of ES256, "),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_a_wrong_value_is_named_before_the_first_request(home, options, said):
    source = linked(**options)
    configured = settings(home, URL)
    summary = import_through(None, source, configured)
    assert summary.status == "failed"
    assert summary.failure_reason.startswith(f"items: {said}")
    assert summary.requests_count == 0
