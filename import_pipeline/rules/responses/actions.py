"""What an answer means for the request that asked. No I/O: the loops obey the verdicts."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from import_pipeline.rules.responses.status_phrases import phrase


class ResponseAction(StrEnum):
    """What to do about an answer that is no rate limit."""

    READ = "read"  #: its body holds what was asked for
    UNCHANGED = "unchanged"  #: what we have is still right; only a conditional request is answered so
    AGAIN = "again"  #: a later try may do
    REJECT = "reject"  #: no further try can help; only this item is concerned
    STOP = "stop"  #: we are not let in: of the list, nothing will work; of one item, others may


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict and, unless all is well, its reason for people."""

    verdict: ResponseAction
    reason: str = ""


#: Statuses below 500 that a later try may cure (RFC 9110, 15.5.9; RFC 8470, 5.2).
TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
#: Successes without the whole of what was asked for, and what a reason says of them (RFC 9110, 15.3.3, 15.3.7).
NOT_YET_WHOLE: dict[int, str] = {
    HTTPStatus.ACCEPTED: "it has not got ready yet what was asked for",
    HTTPStatus.PARTIAL_CONTENT: "a part of a body that was asked for as a whole",
}


def classify(status: int, *, setting: str) -> Judgement:
    """The verdict on an answer's status; the setting is named where its token is refused."""
    if (part := NOT_YET_WHOLE.get(status)) is not None:
        return Judgement(verdict=ResponseAction.AGAIN, reason=f"the API answers {phrase(status)}: {part}")
    if 200 <= status < 300 and status not in {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT}:
        return Judgement(verdict=ResponseAction.READ)
    name = phrase(status)
    if status == HTTPStatus.NOT_MODIFIED:
        return Judgement(
            verdict=ResponseAction.UNCHANGED, reason=f"the API answers {name} to a request without a condition"
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return Judgement(verdict=ResponseAction.STOP, reason=f"the API answers {name}: check the token ({setting})")
    if status == HTTPStatus.FORBIDDEN:
        return Judgement(
            verdict=ResponseAction.STOP, reason=f"the API answers {name}: this token may not read the source"
        )
    if status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
        return Judgement(verdict=ResponseAction.STOP, reason=f"the API answers {name}: it may not give this away")
    if status == HTTPStatus.TOO_MANY_REQUESTS:  # the limiter has waited for as long as it may
        mend = "check the limits of the source, and who else uses its key"
        return Judgement(verdict=ResponseAction.STOP, reason=f"the API answers {name} again and again: {mend}")
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return Judgement(verdict=ResponseAction.REJECT, reason=f"the API answers {name}: it has no such item (anymore)")
    if status >= 500 or status in TRANSIENT:
        return Judgement(verdict=ResponseAction.AGAIN, reason=f"the API answers {name}")
    if 300 <= status < 400:
        return Judgement(verdict=ResponseAction.REJECT, reason=f"the API answers {name}: redirects are not followed")
    return Judgement(verdict=ResponseAction.REJECT, reason=f"the API answers {name}, expected 200 with a body")
