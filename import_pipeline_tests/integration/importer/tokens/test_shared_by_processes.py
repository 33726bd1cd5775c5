"""One token for all processes: few token requests, and nothing lost when a process is killed while it renews."""

import itertools
import signal

import pytest
from redis import Redis

from import_pipeline import run_import
from import_pipeline_tests.support.imports import import_process, latest, served, settings
from import_pipeline_tests.support.oauth_api import FIRST_REFRESH, SECRET, OAuthApi
from import_pipeline_tests.support.token_users import POINTS, TokenUser, ended, outcome_of

KILLED = -signal.SIGKILL


@pytest.fixture(params=["sqlite", "redis"])
def configured(request, home):
    """Return a function of the API's address and more variables: settings with that rate-limit store."""
    store = {"REDIS_URL": request.getfixturevalue("redis_url")} if request.param == "redis" else {}
    return lambda url, **more: settings(home, url, ITEMS_CLIENT_SECRET=SECRET, **store, **more)


def test_four_processes_share_one_token(configured):
    api = OAuthApi(delay=0.5)
    with served(api.app()) as url:
        processes = [TokenUser(configured(url), requests=5) for _ in range(4)]
        for process in processes:
            process.start()
        assert [ended(process) for process in processes] == [[200] * 5] * 4
    assert (len(api.token_requests), api.refusals) == (1, 0)


def test_four_processes_renew_a_short_token_together(configured):
    api = OAuthApi(lifetime=1.0, rotation="strict", lenience=30.0)
    with served(api.app()) as url:
        limited = configured(url, ITEMS_REFRESH_TOKEN=FIRST_REFRESH, ITEMS_LIMITS="8/1 second")
        processes = [TokenUser(limited, requests=6) for _ in range(4)]
        for process in processes:
            process.start()
        assert [ended(process) for process in processes] == [[200] * 6] * 4
    assert api.refusals == 0
    used = [each["refresh_token"] for each in api.token_requests]
    assert len(used) == len(set(used)) > 1


@pytest.mark.parametrize("point", POINTS)
def test_a_rotated_refresh_token_survives_a_kill_at_each_point(configured, point):
    """The server accepts the token before the last one until the last is used: no client can do without."""
    api = OAuthApi(rotation="grace")
    with served(api.app()) as url:
        given = configured(url, ITEMS_REFRESH_TOKEN=FIRST_REFRESH)
        assert outcome_of(TokenUser(given)) == [200]
        api.revoke()
        assert outcome_of(TokenUser(given, point=point)) == KILLED
        api.revoke()
        assert outcome_of(TokenUser(given, requests=2)) == [200, 200]


@pytest.mark.parametrize("point", ["claimed", "stored"])
def test_a_server_that_accepts_each_refresh_token_once_loses_none_outside_of_the_exchange(configured, point):
    api = OAuthApi(rotation="strict")
    with served(api.app()) as url:
        given = configured(url, ITEMS_REFRESH_TOKEN=FIRST_REFRESH)
        assert outcome_of(TokenUser(given, point=point)) == KILLED
        assert outcome_of(TokenUser(given, requests=2)) == [200, 200]
    used = [each["refresh_token"] for each in api.token_requests]
    assert len(used) == len(set(used))


def test_an_answer_that_died_with_its_process_is_named_as_a_used_up_refresh_token(configured):
    api = OAuthApi(rotation="strict")
    with served(api.app()) as url:
        given = configured(url, ITEMS_REFRESH_TOKEN=FIRST_REFRESH)
        assert outcome_of(TokenUser(given, point="answered")) == KILLED
        said = outcome_of(TokenUser(given))
    assert said == (
        f"TokenRefused: the token server {url}/oauth/token grants no token: it answers 400 Bad Request "
        "(invalid_grant: token was used). The refresh token is expired, revoked or used up: log in again, and set "
        "the new one as ITEMS_REFRESH_TOKEN"
    )


def test_an_import_that_is_killed_while_it_renews_its_token_is_resumed_and_completed(home):
    api = OAuthApi(items=40, lifetime=1.0, rotation="grace", delay=0.3, lenience=30.0)
    with served(api.app()) as url:
        given = settings(
            home,
            url,
            ITEMS_CLIENT_SECRET=SECRET,
            ITEMS_REFRESH_TOKEN=FIRST_REFRESH,
            ITEMS_LIMITS="20/1 second",
            IMPORT_PIPELINE_SOURCES="import_pipeline_tests.support.oauth_api:SOURCES",
        )
        with import_process(given) as process:
            for number in itertools.count():
                if len(api.token_requests) >= 2 or not process.is_alive():
                    break
                process.join(0.01)
                assert number < 6_000
            process.kill()
            process.join(60)
        assert run_import("items", settings=given).status == "completed"
    assert latest(given).items_imported_count == 40
    assert api.refusals == 0


def test_no_token_is_readable_in_redis(home, redis_url):
    api = OAuthApi(rotation="strict")
    with served(api.app()) as url:
        given = settings(home, url, ITEMS_CLIENT_SECRET=SECRET, ITEMS_REFRESH_TOKEN=FIRST_REFRESH, REDIS_URL=redis_url)
        assert outcome_of(TokenUser(given)) == [200]
    with Redis.from_url(redis_url) as client:
        stored = b"".join(client.dump(key) for key in client.scan_iter())
        assert [key for key in client.scan_iter() if key.startswith(b"import_pipeline:token:")] != []
    secrets = [SECRET, FIRST_REFRESH, "access-1-f3b1c2", "refresh-1-9e8d7c"]
    assert [secret for secret in secrets if secret.encode() in stored] == []
