"""Imports by OAuth 2: tokens are requested once, renewed in time, and are in no output."""

import json

import httpx
import pytest

from import_pipeline import STOP, OAuth2, run_import
from import_pipeline.testing import CannedTransport, FakeClock
from import_pipeline_tests.support.imports import counts, import_through, served, settings
from import_pipeline_tests.support.oauth_api import CLIENT, FIRST_REFRESH, SECRET, SOURCES, OAuthApi, OAuthItems

URL = "https://api.test"


def configured(home, url=URL, **environment):
    """Return settings with the client's secret."""
    return settings(home, url, ITEMS_CLIENT_SECRET=SECRET, **environment)


def take(api, home, source=SOURCES[0], **environment):
    """Import the items of the API; return the summary."""
    return import_through(CannedTransport(api.answer), source, configured(home, **environment))


def granting(**options):
    """Return a source whose grant has these options."""

    class Granting(OAuthItems):
        def grant(self, settings):
            return OAuth2("/oauth/token", CLIENT, settings.secret("CLIENT_SECRET"), timeout=2.0, **options)

    return Granting()


def test_one_token_serves_a_whole_import_and_the_next(home):
    api = OAuthApi()
    assert counts(take(api, home)) == ("completed", 3, 3, 0, 0)
    assert counts(take(api, home)) == ("completed", 3, 3, 0, 0)
    assert (len(api.token_requests), api.refusals) == (1, 0)
    assert api.token_requests[0]["grant_type"] == "client_credentials"


def test_a_real_server_and_real_connections(home):
    api = OAuthApi()
    with served(api.app()) as url:
        sources = "import_pipeline_tests.support.oauth_api:SOURCES"
        summary = run_import("items", settings=configured(home, url, IMPORT_PIPELINE_SOURCES=sources))
    assert counts(summary) == ("completed", 3, 3, 0, 0)
    assert (len(api.token_requests), api.refusals) == (1, 0)


def test_token_requests_take_no_permit_and_are_not_counted_as_requests(home):
    summary = take(OAuthApi(), home)
    assert summary.requests_count == 4


def test_a_token_that_the_api_revokes_is_renewed_once(home):
    api = OAuthApi()
    assert take(api, home).status == "completed"
    api.revoke()
    assert counts(take(api, home)) == ("completed", 3, 3, 0, 0)
    assert (len(api.token_requests), api.refusals) == (2, 1)


def test_an_api_that_refuses_every_token_gets_two_and_ends_the_import(home):
    api = OAuthApi(lifetime=-1.0, sends_lifetime=False)
    summary = take(api, home)
    assert summary.status == "failed"
    granted = "check the token (granted by https://api.test/oauth/token)"
    assert summary.failure_reason == f"list page 1: the API answers 401 Unauthorized: {granted}"
    assert (len(api.token_requests), api.refusals) == (2, 2)


def test_a_source_that_stops_at_a_401_stops_after_the_renewal_only(home):
    class Strict(OAuthItems):
        def classify(self, response):
            return STOP("the login has expired") if response.status_code == 401 else None

    api = OAuthApi()
    assert take(api, home, Strict()).status == "completed"
    api.revoke()
    assert counts(take(api, home, Strict())) == ("completed", 3, 3, 0, 0)
    api.lifetime, api.sends_lifetime = -1.0, False
    api.revoke()
    summary = take(api, home, Strict())
    assert (summary.status, summary.failure_reason) == ("failed", "list page 1: the login has expired")


def test_refresh_tokens_rotate_from_import_to_import(home):
    api = OAuthApi(rotation="strict")
    for _ in range(3):
        assert take(api, home, ITEMS_REFRESH_TOKEN=FIRST_REFRESH).status == "completed"
        api.revoke()
    used = [each["refresh_token"] for each in api.token_requests]
    assert used == [FIRST_REFRESH, "refresh-1-9e8d7c", "refresh-2-9e8d7c"]


def test_a_new_refresh_token_in_the_settings_replaces_the_stored_one(home):
    api = OAuthApi(rotation="strict")
    assert take(api, home, ITEMS_REFRESH_TOKEN=FIRST_REFRESH).status == "completed"
    api._refresh = "refresh-of-a-new-login"
    api.revoke()
    assert take(api, home, ITEMS_REFRESH_TOKEN=FIRST_REFRESH).status == "failed"
    assert take(api, home, ITEMS_REFRESH_TOKEN="refresh-of-a-new-login").status == "completed"


@pytest.mark.parametrize("place", ["body", "basic"])
def test_the_place_of_the_secret_is_found_and_remembered(home, place):
    api = OAuthApi(place=place)
    for _ in range(2):
        assert take(api, home).status == "completed"
        api.revoke()
    asked = [each["place"] for each in api.token_requests]
    assert asked == (["body", "body"] if place == "body" else ["body", "basic", "basic"])


def test_a_grant_may_have_further_parameters_and_a_json_body(home):
    api = OAuthApi()
    source = granting(
        scope="read write", audience="https://api.test", params={"account_id": "7"}, body="json", client_auth="basic"
    )
    assert take(api, home, source).status == "completed"
    assert api.token_requests == [
        {
            "grant_type": "client_credentials",
            "audience": "https://api.test",
            "scope": "read write",
            "account_id": "7",
            "place": "basic",
        }
    ]


def test_the_token_may_go_into_another_header(home):
    api, seen = OAuthApi(), []

    def answer(request):
        if request.url.path != "/oauth/token":
            seen.append(request.headers.get("x-access-token"))
            request.headers["Authorization"] = f"Bearer {request.headers.pop('x-access-token')}"
        return api.answer(request)

    source = granting(header="X-Access-Token", scheme="")
    assert import_through(CannedTransport(answer), source, configured(home)).status == "completed"
    assert set(seen) == {"access-1-f3b1c2"}


def test_a_server_that_is_busy_at_first_delays_the_import_only(home):
    api = OAuthApi(failures=[(503, {}, ""), (429, {"Retry-After": "1"}, "")])
    summary = take(api, home)
    assert counts(summary) == ("completed", 3, 3, 0, 0)
    assert len(api.token_requests) == 3


def test_a_server_that_stays_silent_ends_the_import_after_its_outage(home):
    api = OAuthApi(failures=[(503, {}, "")] * 20)
    summary = take(api, home, ITEMS_MAX_OUTAGE="1.5")
    assert summary.status == "failed"
    assert "no access token for" in summary.failure_reason
    assert "the token server https://api.test/oauth/token grants no token: it answers 503" in summary.failure_reason
    assert len(api.token_requests) <= 3


def test_a_wait_that_the_server_asks_for_is_no_outage(home):
    api, clock = OAuthApi(failures=[(429, {"Retry-After": "300"}, "")]), FakeClock()
    settings, transport = configured(home, ITEMS_MAX_OUTAGE="60"), CannedTransport(api.answer)
    assert import_through(transport, SOURCES[0], settings, clock).status == "completed"
    assert (len(api.token_requests), clock.monotonic() >= 300) == (2, True)


def test_a_wait_that_is_too_long_is_named(home):
    api, clock = OAuthApi(failures=[(429, {"Retry-After": "3600"}, "")] * 9), FakeClock()
    settings, transport = configured(home, ITEMS_MAX_OUTAGE="60"), CannedTransport(api.answer)
    summary = import_through(transport, SOURCES[0], settings, clock)
    assert "asks for a wait of 3,600 s. Finished items are kept" in summary.failure_reason
    assert len(api.token_requests) == 1


REFUSALS = [
    (
        (400, {}, '{"error": "invalid_scope"}'),
        "it answers 400 Bad Request (invalid_scope). Check the scope of the connector: none is requested",
    ),
    (
        (400, {}, '{"error": "invalid_grant"}'),
        "it answers 400 Bad Request (invalid_grant). Check token_url, scope and parameters of the connector",
    ),
    ((404, {}, ""), "it answers 404 Not Found. Check token_url, scope and parameters of the connector"),
    (
        (302, {"Location": "https://evil.test/"}, ""),
        "it answers 302 Found: redirects are not followed. Check token_url, scope and parameters of the connector",
    ),
    (
        (200, {}, "<html>log in</html>"),
        "it answers 200 OK without an access_token. Check token_url, scope and parameters of the connector",
    ),
]


@pytest.mark.parametrize(("failure", "said"), REFUSALS, ids=[str(failure[:1]) for failure, _ in REFUSALS])
def test_a_refusal_ends_the_import_with_the_remedy(home, failure, said):
    api = OAuthApi(failures=[failure])
    summary = take(api, home)
    assert summary.status == "failed"
    assert summary.failure_reason == f"the token server https://api.test/oauth/token grants no token: {said}"
    assert len(api.token_requests) == 1


def test_a_wrong_secret_is_named_by_its_setting(home):
    summary = take(OAuthApi(place="nowhere"), home)
    assert summary.failure_reason == (
        "the token server https://api.test/oauth/token grants no token: it answers 401 Unauthorized "
        "(invalid_client: unknown client). Check the client's id and secret (ITEMS_CLIENT_SECRET)"
    )


def test_an_absent_secret_is_named_before_any_request(home):
    api = OAuthApi()
    summary = import_through(CannedTransport(api.answer), SOURCES[0], settings(home, URL))
    assert summary.status == "failed"
    expected = "ITEMS_CLIENT_SECRET: expected a secret, in the environment or in .env, got nothing"
    assert expected in summary.failure_reason
    assert api.token_requests == []


def test_tokens_are_in_no_file_of_the_installation(home, caplog):
    """Search the bytes of every file, logs and errors included."""
    caplog.set_level("DEBUG")
    api = OAuthApi(rotation="strict")

    def answer(request):
        if request.url.path == "/api/items/2":
            return httpx.Response(400, text=json.dumps(dict(request.headers)))
        return api.answer(request)

    given = configured(home, ITEMS_REFRESH_TOKEN=FIRST_REFRESH)
    for _ in range(2):
        assert counts(import_through(CannedTransport(answer), SOURCES[0], given)) == ("completed", 3, 2, 0, 1)
        api.revoke()
    tokens = [SECRET, FIRST_REFRESH, "access-1-", "access-2-", "refresh-1-", "refresh-2-"]
    searched = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in searched} >= {"limits.db", "import_pipeline.db"}
    assert [(path.name, token) for path in searched for token in tokens if token.encode() in path.read_bytes()] == []
    assert [token for token in tokens if token in caplog.text] == []
