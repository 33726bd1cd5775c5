"""List requests as a checkpoint holds them: the same after reading, and without any secret."""

import json
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from import_pipeline.contracts import Connector
from import_pipeline.importer.discovery.stored_request import dump_request, load_request, print_of
from import_pipeline.importer.user_code.request_secrets import KnownSecrets, secrets_of
from import_pipeline.redaction import register
from import_pipeline.settings import load_settings
from import_pipeline_tests.support.tracking_rows import NOON

BASE = httpx.URL("https://api.test/v1/")
TOKEN = "t0ken of the settings/81=="
OWN = "an-own-license-4711"


def known(tmp_path, token=TOKEN, own=OWN, **headers):
    environment = {"ORDERS_TOKEN": token, "ORDERS_LICENSE": own, "IMPORT_PIPELINE_HOME": str(tmp_path)}
    settings = load_settings(environment, tmp_path)
    settings.source("orders")  # which registers what is secret
    return secrets_of("orders", settings, Connector(base_url=str(BASE), headers=headers))


def stored(request, secrets):
    return json.loads(json.dumps(dump_request(request, secrets)))


def parts(request):
    headers = [pair for pair in request.headers.multi_items() if pair[0] not in {"host", "content-length"}]
    where = (request.url.scheme, request.url.netloc, request.url.raw_path)  # as sent: an empty path is "/"
    return request.method, where, sorted(headers), request.read()


TEXTS = st.text("abc/=%&+ü\"'{}<>:|", max_size=20)
ADDRESSES = st.text("abcXYZ019/?&=%-._~:,;+|[]", max_size=40)


@given(
    st.sampled_from(["GET", "POST", "QUERY"]),
    ADDRESSES,
    st.dictionaries(st.sampled_from(["X-Search", "X-Key", "Accept"]), st.text("abc/=,;", min_size=1), max_size=3),
    st.one_of(TEXTS.map(str.encode), st.binary(max_size=40)),
)
@example("GET", "..", {}, b"")
def test_any_request_is_the_same_after_it_was_stored(method, rest, headers, body):
    request = httpx.Request(method, f"https://api.test/v1/{rest}", headers=headers, content=body)
    read = load_request(stored(request, KnownSecrets()), KnownSecrets(), BASE)
    assert parts(read) == parts(request)


@pytest.mark.parametrize("name", ["pageToken", "page_token", "key", "session", "token", "cursor", "next", "sig"])
def test_a_cursor_is_resumable_whatever_it_is_called(tmp_path, name):
    request = httpx.Request("GET", f"https://api.test/v1/things?{name}=eyJhIjoxfQ%3D%3D")
    secrets = known(tmp_path)
    assert stored(request, secrets)["target"] == f"/v1/things?{name}=eyJhIjoxfQ%3D%3D"
    assert parts(load_request(stored(request, secrets), secrets, BASE)) == parts(request)


@pytest.mark.parametrize("name", ["appid", "subscription-key", "license", "u", "api_key"])
@pytest.mark.parametrize("secret", [TOKEN, OWN])
@pytest.mark.parametrize("write", [str, quote, quote_plus, lambda text: quote(text, safe="")])
def test_a_secret_is_stored_by_its_name_whatever_the_parameter_is_called(tmp_path, name, secret, write):
    request = httpx.Request("GET", f"https://api.test/v1/things?{name}={write(secret)}&cursor=b")
    secrets = known(tmp_path)
    kept = stored(request, secrets)
    if kept is not None:
        assert parts(load_request(kept, secrets, BASE)) == parts(request)
    text = json.dumps(kept)
    assert not any(form in text for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)))


def test_secrets_in_headers_and_bodies_are_filled_in_again_after_they_were_renewed(tmp_path):
    def build(token):
        headers = {"X-Api": f"Key {token}", "X-Partner": "partner-88-secret"}
        return httpx.Request("POST", "https://api.test/v1/search", json={"k": token, "after": 7}, headers=headers)

    kept = stored(build(TOKEN), known(tmp_path, **{"X-Partner": "partner-88-secret"}))
    assert TOKEN not in json.dumps(kept)
    assert "partner-88-secret" not in json.dumps(kept)
    renewed = known(tmp_path, token="a new token", **{"X-Partner": "partner-88-secret"})
    assert parts(load_request(kept, renewed, BASE)) == parts(build("a new token"))


@pytest.mark.parametrize("write", [quote_plus, lambda text: quote(text, safe="")])
def test_a_parameter_of_the_connector_that_the_api_repeats_in_its_link_is_stored_by_its_name(tmp_path, write):
    """A list whose links hold the key can be resumed, and its checkpoint does not have the key."""

    def of(key):
        settings = load_settings({"IMPORT_PIPELINE_HOME": str(tmp_path)}, tmp_path)
        return secrets_of("orders", settings, Connector(base_url=str(BASE), params={"appid": key, "units": "metric"}))

    def build(key):
        return httpx.Request("GET", f"https://api.test/v1/things?appid={write(key)}&units=metric&cursor=b")

    kept = stored(build("key of 2030/=="), of("key of 2030/=="))
    assert "2030" not in json.dumps(kept)
    assert "units=metric&cursor=b" in json.dumps(kept)
    assert parts(load_request(kept, of("another key /+"), BASE)) == parts(build("another key /+"))


def test_a_request_whose_secret_was_removed_from_the_settings_cannot_be_built(tmp_path):
    request = httpx.Request("GET", "https://api.test/v1/things", params={"appid": TOKEN})
    kept = stored(request, known(tmp_path))
    assert load_request(kept, known(tmp_path, token=""), BASE) is None


def test_a_secret_without_a_name_is_not_stored(tmp_path):
    register("a-secret-of-another-one")
    secrets = known(tmp_path)
    assert dump_request(httpx.Request("GET", "https://api.test/?x=a-secret-of-another-one"), secrets) is None
    assert dump_request(httpx.Request("GET", "https://api.test/?x=a%2Dsecret-of-another-one"), secrets) is None
    packed = b"\xff\x00 a-secret-of-another-one"
    assert dump_request(httpx.Request("POST", "https://api.test/", content=packed), secrets) is None


def test_a_placeholder_that_the_api_sends_is_only_text(tmp_path):
    request = httpx.Request("GET", 'https://api.test/v1/things?c={"secret":"ORDERS_TOKEN"}')
    secrets = known(tmp_path)
    assert parts(load_request(stored(request, secrets), secrets, BASE)) == parts(request)


@pytest.mark.parametrize("broken", [{}, {"method": "GET"}, {"method": "GET", "target": [{"x": 1}], "headers": []}])
def test_what_cannot_be_read_is_no_request(broken):
    assert load_request(broken, KnownSecrets(), BASE) is None


def test_a_new_token_leaves_the_list_the_same_and_another_own_setting_does_not(tmp_path):
    def of(token, own):
        request = httpx.Request("GET", "https://api.test/v1/things", params={"appid": token, "region": own})
        return print_of(request, known(tmp_path, token=token, own=own), NOON)

    assert of(TOKEN, OWN) == of("a new token", OWN) != of(TOKEN, "another-region")
