"""The action that a response's status calls for."""

import pytest

from import_pipeline.rules.responses.actions import Classification, ResponseAction, classify

ACCEPT, RETRY, REJECT, ABORT = ResponseAction.ACCEPT, ResponseAction.RETRY, ResponseAction.REJECT, ResponseAction.ABORT

CLASSIFICATIONS = [
    (200, ACCEPT, ""),
    (201, ACCEPT, ""),
    (203, ACCEPT, ""),
    (202, RETRY, "the API answers 202 Accepted: the response is not ready yet"),
    (206, RETRY, "the API answers 206 Partial Content: a part of the body, although the whole was requested"),
    (207, ACCEPT, ""),
    (204, REJECT, "the API answers 204 No Content, expected 200 with a body"),
    (205, REJECT, "the API answers 205 Reset Content, expected 200 with a body"),
    (301, REJECT, "the API answers 301 Moved Permanently: redirects are not followed"),
    (307, REJECT, "the API answers 307 Temporary Redirect: redirects are not followed"),
    (400, REJECT, "the API answers 400 Bad Request, expected 200 with a body"),
    (401, ABORT, "the API answers 401 Unauthorized: check the token (ITEMS_TOKEN)"),
    (403, ABORT, "the API answers 403 Forbidden: this token may not read the source"),
    (404, REJECT, "the API answers 404 Not Found: it has no such item (anymore)"),
    (408, RETRY, "the API answers 408 Request Timeout"),
    (410, REJECT, "the API answers 410 Gone: it has no such item (anymore)"),
    (451, ABORT, "the API answers 451 Unavailable For Legal Reasons: it may not publish this"),
    (
        429,
        ABORT,
        "the API answers 429 Too Many Requests again and again: check the limits of the source, and who else uses its "
        "key",
    ),
    (422, REJECT, "the API answers 422 Unprocessable Entity, expected 200 with a body"),
    (425, RETRY, "the API answers 425 Too Early"),
    (500, RETRY, "the API answers 500 Internal Server Error"),
    (502, RETRY, "the API answers 502 Bad Gateway"),
    (503, RETRY, "the API answers 503 Service Unavailable"),
    (504, RETRY, "the API answers 504 Gateway Timeout"),
    (520, RETRY, "the API answers 520"),
    (599, RETRY, "the API answers 599"),
]


@pytest.mark.parametrize(("status", "action", "reason"), CLASSIFICATIONS)
def test_a_status_is_read_tried_again_rejected_or_ends_everything(status, action, reason):
    assert classify(status, setting="ITEMS_TOKEN") == Classification(action=action, reason=reason)
