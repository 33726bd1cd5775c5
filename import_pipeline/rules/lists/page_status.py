"""The action of discovery on the response to a list request. No I/O."""

from enum import StrEnum
from http import HTTPStatus

from import_pipeline.rules.responses.actions import ActionKind, ResponseAction, action_for, unsaid
from import_pipeline.rules.responses.status_phrases import phrase


class PageVerdict(StrEnum):
    """The action of discovery on a response to a list request."""

    READ = "read"  #: its body holds items
    ABSENT = "absent"  #: there is no body: a page without items
    END = "end"  #: a page without items, and the last one of its list
    UNCHANGED = "unchanged"  #: the whole list is as it was
    AGAIN = "again"  #: a later try may succeed
    REJECTED = "rejected"  #: the API does not accept this request: on a later page, its cursor may have expired
    FAILED = "failed"  #: no request for this list will work
    STOP = "stop"  #: no request of the import will work


#: The verdicts with a page that can be stored.
USABLE = frozenset({PageVerdict.READ, PageVerdict.ABSENT, PageVerdict.END, PageVerdict.UNCHANGED})
#: The verdict for each action that a source states for a page.
_STATED = {
    ActionKind.ACCEPT: PageVerdict.READ,
    ActionKind.NOT_MODIFIED: PageVerdict.AGAIN,
    ActionKind.RETRY: PageVerdict.AGAIN,
    ActionKind.SKIP: PageVerdict.ABSENT,
    ActionKind.GONE: PageVerdict.END,
    ActionKind.STOP: PageVerdict.STOP,
}


def judge_page(
    status: int, *, setting: str, stated: ResponseAction | None = None, is_first: bool = False
) -> tuple[PageVerdict, str]:
    """Return the verdict, and its reason unless the page can be used; `setting` names the token's setting.

    `stated` is the action of the source's `classify`. `is_first`: it is the first page of its list.
    """
    if stated is None:
        return _by_status(status, setting)
    action = action_for(status, stated, setting=setting)
    if action.is_hook_failure:  # as an error of any hook that reads a page: it is requested again
        return PageVerdict.AGAIN if action.kind is not ActionKind.STOP else PageVerdict.STOP, action.reason
    if action.kind is ActionKind.NOT_MODIFIED and is_first:
        return PageVerdict.UNCHANGED, ""
    verdict = _STATED.get(action.kind, PageVerdict.FAILED)
    return verdict, "" if verdict in USABLE else action.reason or unsaid(status, ActionKind.NOT_MODIFIED)


def _by_status(status: int, setting: str) -> tuple[PageVerdict, str]:
    if status in {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT}:
        return PageVerdict.ABSENT, ""
    if status == HTTPStatus.ACCEPTED:  # the list is being prepared (RFC 9110, 15.3.3)
        return PageVerdict.AGAIN, f"the API answers {phrase(status)}: the list is not ready yet"
    if 200 <= status < 300:  # some APIs answer each page with 206 and a Content-Range
        return PageVerdict.READ, ""
    action = action_for(status, None, setting=setting)
    if action.kind in {ActionKind.RETRY, ActionKind.NOT_MODIFIED}:
        return PageVerdict.AGAIN, action.reason
    if action.kind is ActionKind.GONE:
        return PageVerdict.REJECTED, f"the API answers {phrase(status)}: it has no such page (anymore)"
    if action.kind is ActionKind.FAIL and 400 <= status < 500:
        return PageVerdict.REJECTED, action.reason
    return PageVerdict.STOP if action.kind is ActionKind.STOP else PageVerdict.FAILED, action.reason
