"""Secrets of a source: read by name, masked from then on, named if absent, and in no `repr`."""

import pytest

from import_pipeline import Connector, JwtBearer, OAuth2, Origin
from import_pipeline.errors import SettingError
from import_pipeline.redaction import redact
from import_pipeline.settings import load_settings

KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----"


def of_orders(folder, **environment):
    return load_settings(environment, folder).source("orders")


def test_a_secret_is_read_by_the_name_of_its_source_and_masked(tmp_path):
    settings = of_orders(tmp_path, ORDERS_CLIENT_SECRET=" s3cret-of-the-client ")
    assert settings.secret("CLIENT_SECRET") == settings.secret("client_secret") == "s3cret-of-the-client"
    assert redact("with s3cret-of-the-client") == "with ***"
    assert "s3cret" not in repr(settings)


def test_a_secret_may_be_in_the_env_file_and_the_environment_wins(tmp_path):
    (tmp_path / ".env").write_text("ORDERS_CLIENT_SECRET=of-the-file\nORDERS_KEY=of-the-file-too\n")
    settings = of_orders(tmp_path, ORDERS_CLIENT_SECRET="of-the-environment")
    assert (settings.secret("CLIENT_SECRET"), settings.secret("KEY")) == ("of-the-environment", "of-the-file-too")


@pytest.mark.parametrize("environment", [{}, {"ORDERS_CLIENT_SECRET": "  "}, {"CLIENT_SECRET": "of-no-source"}])
def test_an_absent_secret_is_named_with_its_place(tmp_path, environment):
    settings = of_orders(tmp_path, **environment)
    assert settings.secret("CLIENT_SECRET", default="") == ""
    with pytest.raises(SettingError) as refused:
        settings.secret("CLIENT_SECRET")
    expected = "ORDERS_CLIENT_SECRET: expected a secret, in the environment or in .env, got nothing"
    assert (str(refused.value), refused.value.name) == (expected, "ORDERS_CLIENT_SECRET")


def test_each_long_line_of_a_key_is_masked(tmp_path):
    of_orders(tmp_path, ORDERS_PRIVATE_KEY=KEY).secret("PRIVATE_KEY")
    assert redact(KEY.splitlines()[1]) == "***"
    assert redact("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


@pytest.mark.parametrize(
    "auth",
    [
        OAuth2(
            "/token", "me", "hidden-1", refresh_token="hidden-2", params={"a": "hidden-3"}, headers={"b": "hidden-4"}
        ),
        JwtBearer("/token", "me", "hidden-1", params={"a": "hidden-2"}, claims={"b": "hidden-3"}),
    ],
    ids=["OAuth2", "JwtBearer"],
)
def test_no_repr_shows_a_secret(auth):
    connector = Connector(
        base_url="https://api.test",
        headers={"X-Key": "hidden-5"},
        params={"appid": "hidden-6"},
        auth=auth,
        origins=(Origin("https://files.test"),),
        proxy="http://user:hidden-7@proxy",
        cert=("a.pem", "b.pem", "hidden-8"),
    )
    assert "hidden" not in repr(auth) + repr(connector)
