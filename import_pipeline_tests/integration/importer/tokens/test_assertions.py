"""Tokens by signed assertions (RFC 7523): the server verifies them with the public key."""

import json

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from import_pipeline import Connector, JwtBearer
from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import counts, import_through, settings
from import_pipeline_tests.support.oauth_api import OAuthApi

URL = "https://api.test"
TOKENS = "https://login.test/token"


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class ServiceAccount(ItemsSource):
    """The items, by the service account whose key is a setting."""

    algorithm = "RS256"

    def connector(self, settings):
        grant = JwtBearer(
            TOKENS,
            "robot@project.test",
            settings.secret("PRIVATE_KEY"),
            scope="items.readonly",
            subject="boss@project.test",
            key_id="key-7",
            algorithm=self.algorithm,
            claims={"tenant": "acme"},
        )
        return Connector(base_url=self.base_url, auth=grant)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["RS256", "ES256"],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_service_account_signs_its_token_requests(home, algorithm, key, escaped):
    api, asked, heads = OAuthApi(), [], []

    def answer(request):
        if request.url.host != "login.test":
            return api.answer(request)
        form = dict(httpx.QueryParams(request.content.decode()))
        asked.append(form)
        heads.append(jwt.get_unverified_header(form["assertion"]))
        claims = jwt.decode(form["assertion"], key.public_key(), algorithms=[algorithm], audience=TOKENS)
        assert claims["exp"] - claims["iat"] == 300
        assert {name: claims[name] for name in ("iss", "sub", "scope", "tenant")} == {
            "iss": "robot@project.test",
            "sub": "boss@project.test",
            "scope": "items.readonly",
            "tenant": "acme",
        }
        token = {"grant_type": "client_credentials", "client_id": "client-1", "client_secret": "client-secret-5d1f0c"}
        return api.answer(httpx.Request("POST", f"{URL}/oauth/token", data=token))

    source = type("ServiceAccount", (ServiceAccount,), {"algorithm": algorithm})()
    text = pem(key).strip()
    text = text.replace("\n", "\\n") if escaped else text
    configured = settings(home, URL, ITEMS_PRIVATE_KEY=text)
    transport = CannedTransport(answer)
    for _ in range(2):
        assert counts(import_through(transport, source, configured)) == ("completed", 3, 3, 0, 0)
    assert [form["grant_type"] for form in asked] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert heads == [{"alg": algorithm, "kid": "key-7", "typ": "JWT"}]
    key_lines = [line for line in pem(key).splitlines() if len(line) > 60]
    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert [line for line in key_lines if line.encode() in stored] == []


def test_a_refused_assertion_names_what_to_check(home):
    def answer(request):
        return httpx.Response(400, text=json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT"}))

    key = pem(ec.generate_private_key(ec.SECP256R1()))
    source = type("ServiceAccount", (ServiceAccount,), {"algorithm": "ES256"})()
    summary = import_through(CannedTransport(answer), source, settings(home, URL, ITEMS_PRIVATE_KEY=key))
    assert summary.failure_reason == (
        "the token server https://login.test/token grants no token: it answers 400 Bad Request (invalid_grant: "
        "Invalid JWT). Check issuer, key, scope and audience of the connector, and this machine's clock"
    )
