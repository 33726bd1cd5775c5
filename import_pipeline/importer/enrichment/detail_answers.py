"""Send a request for details, judge its answer, and describe a failure: for one item, a batch, or a follow-up."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.errors import CostTooHigh, ImportFailed, ItemDenied, ItemRejected, ItemRetryable, OtherOrigin
from import_pipeline.importer.excerpts import MOST_KEPT, excerpt, register_response_secrets, response_excerpt
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.response_errors import describe_refused_body
from import_pipeline.importer.runtime.sending import describe_request_error, send
from import_pipeline.importer.user_code.answers import stated_action
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.rules.responses.actions import ActionKind, ResponseAction, action_for
from import_pipeline.rules.responses.rate_limit_headers import answered_at, retry_after
from import_pipeline.rules.status import LeftOut
from import_pipeline.tracking.claims import Claim, Done, Failure

_LEFT_OUT = {ActionKind.SKIP: LeftOut.SKIPPED, ActionKind.GONE: LeftOut.GONE}


async def send_request(context: ImportContext, request: httpx.Request, claims: Collection[int]) -> httpx.Response:
    """Send the request and return the response. A broken connection is retried once: servers close idle ones.

    Raises ItemError or ImportFailed.
    """
    try:
        try:
            return await send(context, request, claims=claims)
        except httpx.ReadError:
            return await send(context, request, claims=claims)
    except BodyRefused as error:
        raise ItemRejected(describe_refused_body(context, error)) from error
    except (CostTooHigh, httpx.LocalProtocolError) as error:
        raise ItemRejected(str(error)) from error
    except OtherOrigin as error:
        raise ItemDenied(str(error)) from error
    except httpx.RequestError as error:
        raise ItemRetryable(describe_request_error(error, context.source.timeout)) from error


def action_of(context: ImportContext, response: httpx.Response, *, has_condition: bool = False) -> ResponseAction:
    """Return what the answer means for its items, unless they fail by it: to read it, or an end without details.

    `has_condition`: the request may be answered with 304. Raises ItemError and ImportFailed.
    """
    action = action_for(response.status_code, stated_action(response), setting=context.token_setting)
    match action.kind:
        case ActionKind.STOP:
            raise ImportFailed(action.reason)
        case ActionKind.DENY | ActionKind.RATE_LIMITED:
            raise ItemDenied(action.reason)
        case ActionKind.FAIL:
            raise ItemRejected(action.reason)
        case ActionKind.RETRY:
            raise ItemRetryable(action.reason, _requested_wait(context, response, action.wait))
        case ActionKind.NOT_MODIFIED if action.is_default and not has_condition:
            raise ItemRejected(action.reason)
    return action


def without_details(done: Done, action: ResponseAction) -> Done:
    """Return the end of an item whose answer has no details: it is unchanged, skipped, or gone.

    Raises ItemRejected if the status says gone of an item that no list ever had: a chosen id may be mistyped.
    """
    if action.kind is ActionKind.GONE and action.is_default and not done.claim.linked:
        raise ItemRejected(f"{action.reason}. No list has had this id: check it")
    return replace(
        done,
        unchanged=action.kind is ActionKind.NOT_MODIFIED,
        left_out=_LEFT_OUT.get(action.kind),
        reason=action.reason,
        is_doubtful=action.kind is ActionKind.GONE and action.is_default,
    )


def failure_of(
    context: ImportContext,
    claim: Claim,
    error: Exception,
    response: httpx.Response | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Failure:
    """Return the failed try of an item, with the excerpt of its response if the source keeps it.

    `detail` is the item's own part of a response with many items: the excerpt is of that part.
    """
    next_try = context.next_attempt(claim.failure_count + 1, error.after) if isinstance(error, ItemRetryable) else None
    return Failure(
        claim=claim,
        reason=str(error),
        next_attempt_at=next_try,
        payload=_kept(context, response, detail),
        may_pass=isinstance(error, ItemRetryable),
        is_denied=isinstance(error, ItemDenied),
    )


def _kept(context: ImportContext, response: httpx.Response | None, detail: Mapping[str, Any] | None) -> str | None:
    if response is None:
        return None
    register_response_secrets(response)
    if not context.source.keep_payloads:
        return None
    return response_excerpt(response) if detail is None else _detail_excerpt(detail)


def _detail_excerpt(detail: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(detail, default=repr, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(detail).__name__} that cannot be shown"
    return excerpt(text, MOST_KEPT)


def _requested_wait(context: ImportContext, response: httpx.Response, stated: timedelta | None) -> timedelta | None:
    """Return the wait before the next try, as the source or the response states it; at most the longest pause."""
    wait = stated
    if wait is None:
        at = answered_at(response.headers, otherwise=context.clock.now())
        wait = retry_after(response.headers.get("Retry-After"), now=at)
    return None if wait is None else min(wait, context.source.max_pause)
