"""The action that a response's status calls for."""

from datetime import timedelta

import pytest

from import_pipeline.rules.responses.actions import (
    FAIL,
    RATE_LIMITED,
    RETRY,
    SKIP,
    STOP,
    ActionKind,
    ResponseAction,
    action_for,
    default_action,
)

DEFAULTS = [
    (200, ActionKind.ACCEPT, ""),
    (201, ActionKind.ACCEPT, ""),
    (203, ActionKind.ACCEPT, ""),
    (202, ActionKind.RETRY, "the API answers 202 Accepted: the response is not ready yet"),
    (
        206,
        ActionKind.RETRY,
        "the API answers 206 Partial Content: a part of the body, although the whole was requested",
    ),
    (207, ActionKind.ACCEPT, ""),
    (204, ActionKind.FAIL, "the API answers 204 No Content, expected 200 with a body"),
    (205, ActionKind.FAIL, "the API answers 205 Reset Content, expected 200 with a body"),
    (301, ActionKind.FAIL, "the API answers 301 Moved Permanently: redirects are not followed"),
    (307, ActionKind.FAIL, "the API answers 307 Temporary Redirect: redirects are not followed"),
    (400, ActionKind.FAIL, "the API answers 400 Bad Request, expected 200 with a body"),
    (401, ActionKind.STOP, "the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)"),
    (403, ActionKind.DENY, "the API answers 403 Forbidden: this token may not read the source"),
    (404, ActionKind.GONE, "the API answers 404 Not Found: it has no such item (anymore)"),
    (408, ActionKind.RETRY, "the API answers 408 Request Timeout"),
    (410, ActionKind.GONE, "the API answers 410 Gone: it has no such item (anymore)"),
    (451, ActionKind.DENY, "the API answers 451 Unavailable For Legal Reasons: it may not publish this"),
    (
        429,
        ActionKind.DENY,
        "the API answers 429 Too Many Requests again and again: check the limits of the source, and who else uses its "
        "key",
    ),
    (422, ActionKind.FAIL, "the API answers 422 Unprocessable Entity, expected 200 with a body"),
    (425, ActionKind.RETRY, "the API answers 425 Too Early"),
    (500, ActionKind.RETRY, "the API answers 500 Internal Server Error"),
    (502, ActionKind.RETRY, "the API answers 502 Bad Gateway"),
    (503, ActionKind.RETRY, "the API answers 503 Service Unavailable"),
    (504, ActionKind.RETRY, "the API answers 504 Gateway Timeout"),
    (520, ActionKind.RETRY, "the API answers 520"),
    (599, ActionKind.RETRY, "the API answers 599"),
]


@pytest.mark.parametrize(("status", "kind", "reason"), DEFAULTS)
def test_each_status_has_a_default_action_with_a_reason(status, kind, reason):
    assert default_action(status, setting="ITEMS_TOKEN") == ResponseAction(kind, reason, is_default=True)
    assert action_for(status, None, setting="ITEMS_TOKEN") == default_action(status, setting="ITEMS_TOKEN")


STATED = [
    (RETRY, RETRY(), timedelta(0), False),
    (RETRY(after=30), RETRY(timedelta(seconds=30)), timedelta(seconds=30), True),
    (RATE_LIMITED(wait=0.5), RATE_LIMITED(timedelta(seconds=0.5)), timedelta(seconds=0.5), True),
    (SKIP, SKIP(""), timedelta(0), False),
    (FAIL("no access"), FAIL(" no access\n"), timedelta(0), False),
]


@pytest.mark.parametrize(("one", "other", "wait", "is_said"), STATED)
def test_an_action_is_a_value_with_or_without_parentheses(one, other, wait, is_said):
    assert one == other
    assert (one.wait is not None, one.wait or timedelta(0)) == (is_said, wait)


BAD = [
    (RETRY, {"after": "soon"}, TypeError),
    (RETRY, {"after": True}, TypeError),
    (RETRY, {"after": -1}, ValueError),
    (RETRY, {"after": float("nan")}, ValueError),
    (RATE_LIMITED, {"wait": timedelta(days=32)}, ValueError),
    (STOP, {"reason": None}, TypeError),
    (FAIL, {"reason": 404}, TypeError),
]


@pytest.mark.parametrize(("action", "given", "error"), BAD)
def test_an_action_refuses_arguments_that_it_cannot_keep(action, given, error):
    with pytest.raises(error):
        action(**given)


def test_an_action_without_a_reason_gets_one_that_names_the_status():
    found = action_for(200, STOP, setting="")
    assert (found.kind, found.reason) == (ActionKind.STOP, "the API answers 200 OK: `classify` stops the import")
    assert action_for(200, STOP("expired"), setting="").reason == "expired"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, ActionKind.FAIL),
        (400, ActionKind.FAIL),
        (401, ActionKind.STOP),
        (403, ActionKind.DENY),
        (404, ActionKind.FAIL),
        (408, ActionKind.RETRY),
        (502, ActionKind.RETRY),
    ],
)
def test_an_error_of_classify_keeps_what_an_error_status_asks_for(status, kind):
    broken = ResponseAction(ActionKind.FAIL, "Mine.classify raises ValueError", is_hook_failure=True)
    found = action_for(status, broken, setting="")
    assert (found.kind, found.reason, found.is_hook_failure) == (kind, "Mine.classify raises ValueError", True)
