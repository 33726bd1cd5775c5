"""The meaning of a response: the actions that a source may return, and the default one of each status. No I/O."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Self

from import_pipeline.rules.responses.status_phrases import phrase
from import_pipeline.rules.responses.waits import LONGEST


class ActionKind(StrEnum):
    """The kinds of actions. `classify` may return each of them, except DENY."""

    ACCEPT = "accept"  #: the body holds what was requested
    NOT_MODIFIED = "not modified"  #: our copy is up to date
    RETRY = "retry"  #: a later request may succeed
    RATE_LIMITED = "rate limited"  #: all workers pause, then the request is sent again
    SKIP = "skip"  #: it is no item that the source imports
    GONE = "gone"  #: the API no longer has it
    FAIL = "fail"  #: no further request can succeed; only this item or list is concerned
    DENY = "deny"  #: access to this item is denied; ten items in a row stop the import
    STOP = "stop"  #: no further request of the import can succeed


@dataclass(frozen=True)
class ResponseAction:
    """The action for a response, and its reason for people. `classify` returns one of the constants below."""

    kind: ActionKind
    reason: str = ""
    wait: timedelta | None = None  #: of RETRY and RATE_LIMITED: before the next request, at least
    is_default: bool = False  #: the status alone led to it
    is_hook_failure: bool = False  #: `classify` failed; `reason` names the error


class Plain(ResponseAction):
    """An action that a source returns as it is, or with a reason: `SKIP`, `SKIP("a draft")`."""

    def __call__(self, reason: str = "") -> Self:
        """Return the action with a reason for people."""
        return replace(self, reason=_reason(reason))


class Retrying(ResponseAction):
    """RETRY: as it is, or with a wait: `RETRY(after=30)`."""

    def __call__(self, after: timedelta | float | None = None, reason: str = "") -> Self:
        """Return the action with the least wait before the next request: a timedelta, or a number of seconds."""
        return replace(self, wait=_wait(after), reason=_reason(reason))


class Pausing(ResponseAction):
    """RATE_LIMITED: as it is, or with a wait: `RATE_LIMITED(wait=30)`."""

    def __call__(self, wait: timedelta | float | None = None, reason: str = "") -> Self:
        """Return the action with the pause of all workers: a timedelta, or a number of seconds."""
        return replace(self, wait=_wait(wait), reason=_reason(reason))


#: The response holds what was requested, whatever its status.
ACCEPT = Plain(ActionKind.ACCEPT)
#: The stored details are up to date: the item counts as unchanged. Of the first list page: the whole list is.
NOT_MODIFIED = Plain(ActionKind.NOT_MODIFIED)
#: A later request may succeed: `RETRY`, or `RETRY(after=30)` with the least wait in seconds.
RETRY = Retrying(ActionKind.RETRY)
#: Too many requests: all workers pause as after a 429. `RATE_LIMITED(wait=30)` names the seconds.
RATE_LIMITED = Pausing(ActionKind.RATE_LIMITED)
#: This is no item that the source imports. It is done, and its stub row stays.
SKIP = Plain(ActionKind.SKIP)
#: The API no longer has the item. It is done and marked as gone, and its row stays.
GONE = Plain(ActionKind.GONE)
#: The item fails permanently. Of a list page: the list fails. Give the reason: `FAIL("no access to this account")`.
FAIL = Plain(ActionKind.FAIL)
#: The import ends as failed. Give the reason: `STOP("the subscription has expired")`.
STOP = Plain(ActionKind.STOP)

#: Statuses below 500 after which a later request may succeed (RFC 9110, 15.5.9; RFC 8470, 5.2).
TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
#: Successes without the whole body, and the words for a reason (RFC 9110, 15.3.3, 15.3.7).
INCOMPLETE: dict[int, str] = {
    HTTPStatus.ACCEPTED: "the response is not ready yet",
    HTTPStatus.PARTIAL_CONTENT: "a part of the body, although the whole was requested",
}
#: Statuses with an action and words of their own; `{setting}` is the setting of the token.
WORDED: dict[int, tuple[ActionKind, str]] = {
    HTTPStatus.NOT_MODIFIED: (ActionKind.NOT_MODIFIED, " to a request without a condition"),
    HTTPStatus.UNAUTHORIZED: (ActionKind.STOP, ": check the token ({setting})"),
    HTTPStatus.FORBIDDEN: (ActionKind.DENY, ": this token may not read the source"),
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: (ActionKind.DENY, ": it may not publish this"),
    HTTPStatus.TOO_MANY_REQUESTS: (  # the limiter has waited as long as it may
        ActionKind.DENY,
        " again and again: check the limits of the source, and who else uses its key",
    ),
    HTTPStatus.NOT_FOUND: (ActionKind.GONE, ": it has no such item (anymore)"),
    HTTPStatus.GONE: (ActionKind.GONE, ": it has no such item (anymore)"),
}
#: What a source does that gives no reason for its action.
_UNSAID = {
    ActionKind.NOT_MODIFIED: "reads it as not modified",
    ActionKind.RETRY: "asks for another try",
    ActionKind.RATE_LIMITED: "reads it as a refusal, again and again: check the limits of the source",
    ActionKind.SKIP: "skips it",
    ActionKind.GONE: "reads it as gone",
    ActionKind.FAIL: "rejects it",
    ActionKind.STOP: "stops the import",
}
#: The default action for a 200.
_READ = ResponseAction(ActionKind.ACCEPT, is_default=True)
#: The name of what states an action, in reasons.
CLASSIFY = "classify"


def unsaid(status: int, kind: ActionKind, stated_by: str = CLASSIFY) -> str:
    """Return the reason for an action of a source that gives none."""
    return f"the API answers {phrase(status)}: `{stated_by}` {_UNSAID[kind]}"


def default_action(status: int, *, setting: str) -> ResponseAction:
    """Return the action for a status, and its reason; `setting` is named if the token is refused."""
    if status == HTTPStatus.OK:  # nearly all answers
        return _READ
    kind, reason = _default(status, setting)
    return ResponseAction(kind, reason, is_default=True)


def _default(status: int, setting: str) -> tuple[ActionKind, str]:
    answers = f"the API answers {phrase(status)}"
    if (part := INCOMPLETE.get(status)) is not None:
        return ActionKind.RETRY, f"{answers}: {part}"
    if 200 <= status < 300 and status not in {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT}:
        return ActionKind.ACCEPT, ""
    if status in WORDED:
        kind, words = WORDED[status]
        return kind, answers + words.format(setting=setting)
    if status >= 500 or status in TRANSIENT:
        return ActionKind.RETRY, answers
    if 300 <= status < 400:
        return ActionKind.FAIL, f"{answers}: redirects are not followed"
    return ActionKind.FAIL, f"{answers}, expected 200 with a body"


def action_for(status: int, stated: ResponseAction | None, *, setting: str) -> ResponseAction:
    """Return the action for a response: the one that the source stated, otherwise that of its status.

    If `classify` failed, its error is the reason. A status that asks for another try, or stops the import, still does.
    """
    if stated is None:
        return default_action(status, setting=setting)
    if stated.is_hook_failure:
        usual = default_action(status, setting=setting)
        keeps = usual.kind in {ActionKind.RETRY, ActionKind.DENY, ActionKind.STOP}
        return replace(usual, kind=usual.kind if keeps else ActionKind.FAIL, reason=stated.reason, is_hook_failure=True)
    if not stated.reason and stated.kind not in {ActionKind.ACCEPT, ActionKind.NOT_MODIFIED, ActionKind.DENY}:
        return replace(stated, reason=unsaid(status, stated.kind))
    return stated


def _reason(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"expected a reason as a text, got {type(text).__name__}")
    return text.strip()


def _wait(wait: timedelta | float | None) -> timedelta | None:
    if wait is None:
        return None
    if not isinstance(wait, timedelta | int | float) or isinstance(wait, bool):
        raise TypeError(f"expected a wait as a timedelta or as seconds, got {type(wait).__name__}")
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if not 0 <= seconds <= LONGEST.total_seconds():
        raise ValueError(f"expected a wait of 0 seconds to {LONGEST.days} days, got {seconds:g} seconds")
    return timedelta(seconds=seconds)
