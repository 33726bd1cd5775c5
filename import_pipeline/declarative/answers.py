"""The table of answers: conditions, and what an answer means that fulfils them."""

from collections.abc import Sequence

import httpx

from import_pipeline.contracts.page_requests import found_at, json_body
from import_pipeline.declarative.groups import AnswerWords
from import_pipeline.rules.responses.actions import (
    ACCEPT,
    FAIL,
    GONE,
    NOT_MODIFIED,
    RATE_LIMITED,
    RETRY,
    SKIP,
    STOP,
    ResponseAction,
)

_PLAIN = {"accept": ACCEPT, "not_modified": NOT_MODIFIED, "skip": SKIP, "gone": GONE, "fail": FAIL, "stop": STOP}


def action_of(table: Sequence[AnswerWords], response: httpx.Response) -> ResponseAction | None:
    """Return the action of the first row that fits; None if none does."""
    for row in table:
        if _fits(row, response):
            if row.action == "retry":
                return RETRY(after=row.wait, reason=row.reason)
            if row.action == "rate_limited":
                return RATE_LIMITED(wait=row.wait, reason=row.reason)
            return _PLAIN[row.action](row.reason)
    return None


def _fits(row: AnswerWords, response: httpx.Response) -> bool:
    statuses = (row.status,) if isinstance(row.status, int) else row.status
    if statuses is not None and response.status_code not in statuses:
        return False
    if row.contains is not None and row.contains not in response.text:
        return False
    if row.path is None:
        return True
    found = found_at(json_body(response), row.path)
    if "equals" in row.model_fields_set:
        return bool(found == row.equals)
    return found is not None and found is not False
