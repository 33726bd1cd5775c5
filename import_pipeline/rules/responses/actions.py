"""The action that a response's status calls for. No I/O: the loops obey it."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from import_pipeline.rules.responses.status_phrases import phrase


class ResponseAction(StrEnum):
    """The action for a response that is not a rate limit."""

    ACCEPT = "accept"  #: the body holds what was requested
    NOT_MODIFIED = "not modified"  #: our copy is up to date; the response to a conditional request
    RETRY = "retry"  #: a later request may succeed
    REJECT = "reject"  #: no further request can succeed; only this item is concerned
    ABORT = "abort"  #: access is denied: of the list, no request will succeed; of one item, others may


@dataclass(frozen=True, kw_only=True)
class Classification:
    """An action and, unless the response is accepted, its reason for people."""

    action: ResponseAction
    reason: str = ""


#: Statuses below 500 after which a later request may succeed (RFC 9110, 15.5.9; RFC 8470, 5.2).
TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
#: Successes without the whole body, and the words for a reason (RFC 9110, 15.3.3, 15.3.7).
INCOMPLETE: dict[int, str] = {
    HTTPStatus.ACCEPTED: "the response is not ready yet",
    HTTPStatus.PARTIAL_CONTENT: "a part of the body, although the whole was requested",
}
#: Statuses with an action and words of their own; `{setting}` is the setting of the token.
WORDED: dict[int, tuple[ResponseAction, str]] = {
    HTTPStatus.NOT_MODIFIED: (ResponseAction.NOT_MODIFIED, " to a request without a condition"),
    HTTPStatus.UNAUTHORIZED: (ResponseAction.ABORT, ": check the token ({setting})"),
    HTTPStatus.FORBIDDEN: (ResponseAction.ABORT, ": this token may not read the source"),
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: (ResponseAction.ABORT, ": it may not publish this"),
    HTTPStatus.TOO_MANY_REQUESTS: (  # the limiter has waited as long as it may
        ResponseAction.ABORT,
        " again and again: check the limits of the source, and who else uses its key",
    ),
    HTTPStatus.NOT_FOUND: (ResponseAction.REJECT, ": it has no such item (anymore)"),
    HTTPStatus.GONE: (ResponseAction.REJECT, ": it has no such item (anymore)"),
}


def classify(status: int, *, setting: str) -> Classification:
    """Return the action for a status, and its reason; `setting` is named if the token is refused."""
    answers = f"the API answers {phrase(status)}"
    if (part := INCOMPLETE.get(status)) is not None:
        return Classification(action=ResponseAction.RETRY, reason=f"{answers}: {part}")
    if 200 <= status < 300 and status not in {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT}:
        return Classification(action=ResponseAction.ACCEPT)
    if status in WORDED:
        action, words = WORDED[status]
        return Classification(action=action, reason=answers + words.format(setting=setting))
    if status >= 500 or status in TRANSIENT:
        return Classification(action=ResponseAction.RETRY, reason=answers)
    if 300 <= status < 400:
        return Classification(action=ResponseAction.REJECT, reason=f"{answers}: redirects are not followed")
    return Classification(action=ResponseAction.REJECT, reason=f"{answers}, expected 200 with a body")
