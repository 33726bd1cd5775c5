"""The meaning of a response's status for a page of a list. No I/O."""

from enum import StrEnum
from http import HTTPStatus

from import_pipeline.rules.responses.actions import ResponseAction, classify
from import_pipeline.rules.responses.status_phrases import phrase


class PageVerdict(StrEnum):
    """The action of discovery on a response to a list request."""

    READ = "read"  #: its body holds items
    ABSENT = "absent"  #: there is no body: a page without items
    AGAIN = "again"  #: a later try may succeed
    REJECTED = "rejected"  #: the API does not accept this request: on a later page, its cursor may have expired
    STOP = "stop"  #: no request for this list will work


def judge_page(status: int, *, setting: str) -> tuple[PageVerdict, str]:
    """Return the verdict, and its reason unless the page can be read; `setting` names the token's setting."""
    if status in {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT}:
        return PageVerdict.ABSENT, ""
    if status == HTTPStatus.ACCEPTED:  # the list is being prepared (RFC 9110, 15.3.3)
        return PageVerdict.AGAIN, f"the API answers {phrase(status)}: the list is not ready yet"
    if 200 <= status < 300:  # some APIs answer each page with 206 and a Content-Range
        return PageVerdict.READ, ""
    judgement = classify(status, setting=setting)
    if judgement.action in {ResponseAction.RETRY, ResponseAction.NOT_MODIFIED}:
        return PageVerdict.AGAIN, judgement.reason
    if judgement.action is ResponseAction.REJECT and 400 <= status < 500:
        reason = judgement.reason
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            reason = f"the API answers {phrase(status)}: it has no such page (anymore)"
        return PageVerdict.REJECTED, reason
    return PageVerdict.STOP, judgement.reason
