"""The proxy that the environment names."""

import pytest

from import_pipeline.errors import SettingError
from import_pipeline.ratelimit.http.proxies import environment_proxy
from import_pipeline.redaction import redact

NAMES = [f"{kind}_proxy" for kind in ("http", "https", "all", "no")]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "address", "expected"),
    [
        ({}, "http://api.test", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://api.test", ("HTTP_PROXY", "http://p:3128")),
        ({"http_proxy": "p:3128"}, "http://api.test/v1", ("HTTP_PROXY", "http://p:3128")),
        ({"HTTP_PROXY": "http://p:3128"}, "https://api.test", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://api.test", ("HTTPS_PROXY", "http://p:3128")),
        ({"ALL_PROXY": "https://p:1"}, "https://api.test", ("ALL_PROXY", "https://p:1")),
        ({"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://q:2"}, "http://api.test", ("HTTP_PROXY", "http://p:1")),
        ({"HTTP_PROXY": ""}, "http://api.test", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "api.test"}, "http://api.test:8000", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".test"}, "http://user:pw@api.test", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, "http://api.test", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "other.test"}, "http://api.test", ("HTTP_PROXY", "http://p:1")),
    ],
)
def test_environment(
    environment: dict[str, str],
    address: str,
    expected: tuple[str, str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = environment_proxy(address)
    assert (found and (found.variable, found.address)) == expected


def test_a_password_in_it_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://bob:hunter2-and-more@p:3128")
    found = environment_proxy("http://api.test")
    assert found is not None
    assert found.address == "http://p:3128"
    assert found.proxy.auth == ("bob", "hunter2-and-more")
    assert "hunter2" not in repr(found)
    assert redact("cannot connect with hunter2-and-more") == "cannot connect with ***"


@pytest.mark.parametrize("value", ["socks5://p:1080", "http://", "ftp://p:1"])
def test_a_proxy_that_cannot_be_used_is_a_setting_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(SettingError, match="HTTP_PROXY: expected an http:// or https:// address"):
        environment_proxy("http://api.test")
