"""Access to the panel: hosts, tokens, forms and cookies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from import_pipeline.errors import SettingError
from import_pipeline.panel.security import LOGIN, AccessPolicy, Login, cookie, is_local, is_own_origin, local_path
from import_pipeline.settings import load_settings

TOKEN = "sixteen-letters!"


def door(tmp_path, **environment):
    return AccessPolicy.of(load_settings(environment, tmp_path))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("panel.example.com", False),
    ],
)
def test_only_this_machine_reaches_loopback(host, local):
    assert is_local(host) is local


def test_a_panel_open_to_other_machines_requires_a_token(tmp_path):
    with pytest.raises(SettingError) as refused:
        door(tmp_path, PANEL_HOST="0.0.0.0")
    assert str(refused.value) == (
        "PANEL_TOKEN: expected a token, since PANEL_HOST 0.0.0.0 lets other machines in, got nothing"
    )
    assert TOKEN not in repr(door(tmp_path, PANEL_HOST="0.0.0.0", PANEL_TOKEN=TOKEN))


@pytest.mark.parametrize(
    ("host", "at_home", "open_to_others"),
    [
        ("127.0.0.1:3001", True, True),
        ("localhost", True, True),
        ("LOCALHOST:3001", True, True),
        ("[::1]:3001", True, True),
        ("192.168.1.5:3001", False, True),
        ("imports.example.com", True, True),
        ("evil.example.com:3001", False, False),
        ("127.0.0.1.evil.example.com", False, False),
        ("", False, False),
        ("127.0.0.1@evil.example.com", False, False),
    ],
)
def test_a_page_elsewhere_reaches_nothing_under_a_name_of_its_own(host, at_home, open_to_others, tmp_path):
    named = {"PANEL_HOSTS": "imports.example.com"}
    assert door(tmp_path, **named).knows(host) is at_home
    assert door(tmp_path, PANEL_HOST="0.0.0.0", PANEL_TOKEN=TOKEN, **named).knows(host) is open_to_others


def test_the_token_is_a_bearer_s_or_a_signed_cookie_s(tmp_path):
    guarded = door(tmp_path, PANEL_TOKEN=TOKEN)
    cookie_until_1001 = guarded.login_cookie(1001, "a-login")

    def login_of(login):
        return guarded.login_of({LOGIN: login}, now=1000.0)

    assert guarded.admits(Headers({"authorization": f"Bearer {TOKEN}"}))
    for authorization in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
        assert not guarded.admits(Headers({"authorization": authorization}))
    assert login_of(cookie_until_1001) == Login(id="a-login", until=1001)
    # It outlives a restart.
    assert door(tmp_path, PANEL_TOKEN=TOKEN).login_cookie(1001, "a-login") == cookie_until_1001
    signature = cookie_until_1001.rpartition(".")[2]
    for login in (
        guarded.login_cookie(1000),
        f"9999.a-login.{signature}",
        f"1001.b-login.{signature}",
        "9999.",
        ".",
        f"\u0669.a-login.{signature}",
        f"{'9' * 5000}.a-login.{signature}",
        TOKEN,
    ):
        assert login_of(login) is None
    assert login_of(door(tmp_path, PANEL_TOKEN=f"{TOKEN}!").login_cookie(1001)) is None
    assert guarded.login_cookie(1001) != guarded.login_cookie(1001)
    assert door(tmp_path).admits(Headers({}))


LATIN = st.text(st.characters(max_codepoint=255), max_size=60)


@given(host=LATIN | st.sampled_from(["[", "[::1", "a:b:c", "//", "127.0.0.1:x"]), cookie_text=LATIN, origin=LATIN)
def test_nothing_that_a_stranger_sends_raises(host, cookie_text, origin):
    """These fields are read before the login."""
    known = AccessPolicy(names=frozenset({"localhost"}), local_only=True, token=TOKEN)
    headers = Headers(raw=[(b"host", host.encode("latin-1")), (b"origin", origin.encode("latin-1"))])
    assert known.knows(host) in {True, False}
    assert known.login_of({LOGIN: cookie_text}, 0.0) is None
    assert is_own_origin(headers) in {True, False}
    assert not known.admits(Headers(raw=[(b"authorization", cookie_text.encode("latin-1"))]))


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"origin": "http://127.0.0.1:3001"}, True),
        ({"origin": "http://127.0.0.1:3000"}, False),
        ({"origin": "http://evil.example.com"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://evil.example.com", "sec-fetch-site": "same-origin"}, False),
        ({}, False),
    ],
)
def test_a_form_says_where_it_was_sent_from(headers, ours):
    assert is_own_origin(Headers({"host": "127.0.0.1:3001", **headers})) is ours


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/imports/3?done=cancel", "/imports/3?done=cancel"),
        ("//evil.example.com", "/"),
        ("/\\evil.example.com", "/"),
        ("https://evil.example.com", "/"),
        ("/a\r\nset-cookie: b", "/"),
        ("", "/"),
    ],
)
def test_the_login_leads_to_the_panel_only(wanted, path):
    assert local_path(wanted) == path


def test_cookies_are_out_of_reach_of_scripts_and_other_sites():
    assert cookie("a", "b", {"scheme": "http"}) == "a=b; Path=/; HttpOnly; SameSite=Strict"
    assert cookie("a", "b", {"scheme": "https"}, 5) == "a=b; Path=/; HttpOnly; SameSite=Strict; Max-Age=5; Secure"


@pytest.mark.parametrize(
    ("header", "is_secure"),
    [
        (("x-forwarded-proto", "https"), True),
        (("x-forwarded-proto", "HTTPS, http"), True),
        (("x-forwarded-proto", "http, https"), False),
        (("forwarded", "for=1.2.3.4;proto=https;by=x"), True),
        (("forwarded", 'Proto="https"'), True),
        (("forwarded", "proto=http, proto=https"), False),
        (("x-other", "https"), False),
    ],
)
def test_a_cookie_behind_a_proxy_with_tls_is_sent_over_tls_only(header, is_secure):
    scope = {"scheme": "http", "headers": [tuple(part.encode() for part in header)]}
    assert cookie("a", "b", scope).endswith("; Secure") is is_secure
