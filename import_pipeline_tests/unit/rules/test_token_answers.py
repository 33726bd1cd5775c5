"""Answers of token servers: the token, or the failure that an answer means; and the age at which a token is renewed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from import_pipeline.rules.token_answers import GrantedToken, TokenFailure, read_answer, renewal_age

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
GRANTED = [
    (
        JSON,
        '{"access_token": "a", "token_type": "Bearer", "expires_in": 60}',
        GrantedToken(access_token="a", lifetime=60),
    ),
    (JSON, '{"access_token": "a", "expires_in": "60"}', GrantedToken(access_token="a", lifetime=60)),
    (JSON, '{"access_token": "a", "expires_in": "60.5"}', GrantedToken(access_token="a", lifetime=60.5)),
    (JSON, '{"access_token": "a"}', GrantedToken(access_token="a")),
    (JSON, '\ufeff{"access_token": "a"}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": " a\\n"}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "expires_in": null}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "expires_in": 0}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "expires_in": "never"}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "expires_in": true}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "expires_in": 1e999}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "refresh_token": "r"}', GrantedToken(access_token="a", refresh_token="r")),
    (JSON, '{"access_token": "a", "refresh_token": null, "error": null}', GrantedToken(access_token="a")),
    (JSON, '{"access_token": "a", "token_type": "BearerToken"}', GrantedToken(access_token="a")),
    ("text/html", '{"access_token": "a"}', GrantedToken(access_token="a")),
    (FORM, "access_token=a%2Fb&expires_in=60&scope=x", GrantedToken(access_token="a/b", lifetime=60)),
    ("text/plain", "access_token=a&token_type=bearer", GrantedToken(access_token="a")),
]


@pytest.mark.parametrize(("content_type", "body", "token"), GRANTED)
def test_a_token_is_read_from_every_usual_answer(content_type, body, token):
    assert read_answer(200, content_type, body) == token


FAILURES = [
    (400, '{"error": "invalid_grant"}', "it answers 400 Bad Request (invalid_grant)", "invalid_grant", False),
    (
        401,
        '{"error": "invalid_client", "error_description": "no\\nsuch client"}',
        "it answers 401 Unauthorized (invalid_client: no such client)",
        "invalid_client",
        False,
    ),
    (401, "", "it answers 401 Unauthorized", "", False),
    (200, '{"ok": false, "error": "bad_code"}', "it answers 200 OK (bad_code)", "bad_code", False),
    (400, '{"error": {"code": 7}}', "it answers 400 Bad Request ({'code': 7})", "", False),
    (200, '{"access_token": ""}', "it answers 200 OK without an access_token", "", False),
    (200, '{"access_token": 7}', "it answers 200 OK without an access_token", "", False),
    (200, "[]", "it answers 200 OK without an access_token", "", False),
    (200, "[" * 100_000, "it answers 200 OK without an access_token", "", False),
    (200, '{"access_token": "a b"}', "it grants a token that no header can carry", "", False),
    (
        200,
        '{"access_token": "a", "token_type": "DPoP"}',
        "it grants a token of the type DPoP, expected a bearer token",
        "",
        False,
    ),
    (302, "", "it answers 302 Found: redirects are not followed", "", False),
    (503, "busy", "it answers 503 Service Unavailable", "", True),
    (429, "", "it answers 429 Too Many Requests", "", True),
    (
        400,
        '{"error": "temporarily_unavailable"}',
        "it answers 400 Bad Request (temporarily_unavailable)",
        "temporarily_unavailable",
        True,
    ),
]


@pytest.mark.parametrize(("status", "body", "reason", "error", "may_pass"), FAILURES)
def test_a_failure_has_the_servers_words_and_says_if_waiting_helps(status, body, reason, error, may_pass):
    found = read_answer(status, JSON, body)
    assert isinstance(found, TokenFailure)
    assert (found.reason, found.error, found.may_pass) == (reason, error, may_pass)


@given(status=st.integers(100, 599), content_type=st.sampled_from([JSON, FORM, ""]), body=st.text())
def test_no_answer_is_unreadable(status, content_type, body):
    assert isinstance(read_answer(status, content_type, body), GrantedToken | TokenFailure)


@pytest.mark.parametrize(
    ("lifetime", "age"), [(None, math.inf), (2, 1.6), (60, 48), (300, 240), (3600, 3540), (86400, 86340)]
)
def test_a_token_is_renewed_before_its_end_and_a_short_one_is_used_for_most_of_its_life(lifetime, age):
    assert renewal_age(lifetime) == age
