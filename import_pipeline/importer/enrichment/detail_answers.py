"""Send a request for details, judge its answer, and describe a failure: for one item, a batch, or a follow-up."""

from collections.abc import Collection
from datetime import datetime, timedelta

import httpx

from import_pipeline.errors import CostTooHigh, ItemDenied, ItemRejected, ItemRetryable, OtherOrigin
from import_pipeline.importer.excerpts import register_response_secrets, response_excerpt
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.response_errors import describe_refused_body
from import_pipeline.importer.runtime.sending import describe_request_error, send
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.responses.actions import ResponseAction, classify
from import_pipeline.rules.responses.rate_limit_headers import answered_at, retry_after
from import_pipeline.tracking.claims import Claim, Failure


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


def is_unchanged(context: ImportContext, response: httpx.Response, *, has_condition: bool = False) -> bool:
    """Return True if the answer to a request with a condition says that nothing has changed. Raises ItemError."""
    judgement = classify(response.status_code, setting=context.token_setting)
    match judgement.action:
        case ResponseAction.ABORT:
            raise ItemDenied(judgement.reason)
        case ResponseAction.REJECT:
            raise ItemRejected(judgement.reason)
        case ResponseAction.RETRY:
            raise ItemRetryable(judgement.reason, _requested_wait(context, response))
        case ResponseAction.NOT_MODIFIED if not has_condition:
            raise ItemRejected(judgement.reason)
    return judgement.action is ResponseAction.NOT_MODIFIED


def failure_of(
    context: ImportContext, claim: Claim, error: Exception, response: httpx.Response | None = None
) -> Failure:
    """Return the failed try of an item, with the excerpt of its response if the source keeps it."""
    return Failure(
        claim=claim,
        reason=str(error),
        next_attempt_at=next_attempt(context, claim, error.after) if isinstance(error, ItemRetryable) else None,
        payload=_kept(context, response),
        may_pass=isinstance(error, ItemRetryable),
        is_denied=isinstance(error, ItemDenied),
    )


def next_attempt(context: ImportContext, claim: Claim, after: timedelta | None) -> datetime | None:
    """Return the time of the item's next try; None after its last one."""
    if is_last_try(context, claim):
        return None
    wait = retry_delay(claim.failure_count + 1, context.source.retry.backoff, context.chance())
    return context.clock.now() + (wait if after is None else max(wait, after))


def is_last_try(context: ImportContext, claim: Claim) -> bool:
    """Return True if the item has no further try."""
    return claim.failure_count + 1 >= context.source.retry.tries


def _kept(context: ImportContext, response: httpx.Response | None) -> str | None:
    if response is None:
        return None
    register_response_secrets(response)
    return response_excerpt(response) if context.source.keep_payloads else None


def _requested_wait(context: ImportContext, response: httpx.Response) -> timedelta | None:
    """Return the wait that a response requests before the next try; at most the source's longest pause."""
    now = context.clock.now()
    wait = retry_after(response.headers.get("Retry-After"), now=answered_at(response.headers, otherwise=now))
    return None if wait is None else min(wait, context.source.max_pause)
