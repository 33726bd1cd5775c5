"""Fetch one item: send its request, and read the response into the user's row."""

from datetime import datetime, timedelta

import httpx

from import_pipeline.contracts import Importable
from import_pipeline.errors import (
    CostTooHigh,
    HookFailed,
    ItemDenied,
    ItemError,
    ItemRejected,
    ItemRetryable,
    OtherOrigin,
)
from import_pipeline.importer.excerpts import register_response_secrets, response_excerpt
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.response_errors import describe_refused_body
from import_pipeline.importer.runtime.sending import describe_request_error, send
from import_pipeline.importer.user_code.hooks import ANYTHING, REQUEST_OR_NONE, call_hook
from import_pipeline.ratelimit import SECONDS, BodyRefused
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.responses.actions import ResponseAction, classify
from import_pipeline.rules.responses.rate_limit_headers import answered_at, retry_after
from import_pipeline.tracking.claims import Claim, Done, Failure

#: A longer ETag is not stored, since each request would send it back.
LONGEST_ETAG = 1_000


async def fetch_item(context: ImportContext, claim: Claim, importable: Importable) -> Done | Failure:
    """Fetch and read one item. Raises ImportFailed if the API says that no request will succeed."""
    response = None
    try:
        request = _request(claim, importable)
        response = await _send(context, request, claim)
        unchanged = _read(context, claim, response, importable)
    except (ItemRejected, HookFailed) as error:
        return Failure(
            claim=claim,
            reason=str(error),
            next_attempt_at=None,
            payload=_kept(context, response),
            is_denied=isinstance(error, ItemDenied),
        )
    except ItemRetryable as error:
        again, payload = _next_attempt(context, claim, error.after), _kept(context, response)
        return Failure(claim=claim, reason=str(error), next_attempt_at=again, payload=payload, may_pass=True)
    return Done(
        claim=claim,
        importable=importable,
        etag=_etag(response) if context.source.conditional else None,
        unchanged=unchanged,
        request_seconds=response.extensions.get(SECONDS),
        http_status=response.status_code,
    )


def _kept(context: ImportContext, response: httpx.Response | None) -> str | None:
    """Return the excerpt to keep of the response that failed the item; None if the source keeps none."""
    if response is None:
        return None
    register_response_secrets(response)
    return response_excerpt(response) if context.source.keep_payloads else None


def _etag(response: httpx.Response) -> str | None:
    """Return the ETag of the response, if it can be sent back."""
    tag = response.headers.get("ETag")
    return tag if tag is not None and tag.isascii() and len(tag) <= LONGEST_ETAG else None


def _request(claim: Claim, importable: Importable) -> httpx.Request:
    """Return the item's request, conditional if its last response had an ETag. Raises HookFailed or ItemRejected."""
    request = call_hook(importable, "detail_request", returns=REQUEST_OR_NONE, passes=(ItemError,))
    if request is None:
        name = type(importable).__name__
        raise ItemRejected(f"{name}.detail_request returns no request: only the list has this item")
    if claim.etag is not None:
        request.headers["If-None-Match"] = claim.etag  # RFC 9110, 13.1.2
    return request


def _read(context: ImportContext, claim: Claim, response: httpx.Response, importable: Importable) -> bool:
    """Read the response into the importable. Return True if it says that nothing has changed.

    Raises HookFailed or ItemError.
    """
    judgement = classify(response.status_code, setting=context.token_setting)
    match judgement.action:
        case ResponseAction.ABORT:
            raise ItemDenied(judgement.reason)
        case ResponseAction.REJECT:
            raise ItemRejected(judgement.reason)
        case ResponseAction.RETRY:
            raise ItemRetryable(judgement.reason, _requested_wait(context, response))
        case ResponseAction.NOT_MODIFIED if claim.etag is None:
            raise ItemRejected(judgement.reason)
        case ResponseAction.NOT_MODIFIED:
            return True
    detail = call_hook(context.source, "detail", response, returns=ANYTHING, response=response, passes=(ItemError,))
    call_hook(importable, "populate", detail, returns=ANYTHING, response=response, passes=(ItemError,))
    return False


async def _send(context: ImportContext, request: httpx.Request, claim: Claim) -> httpx.Response:
    """Send the request and return the response. A broken connection is retried once: servers close idle ones.

    Raises HookFailed, ItemError or ImportFailed.
    """
    try:
        try:
            return await send(context, request, claim=claim.status_id)
        except httpx.ReadError:
            return await send(context, request, claim=claim.status_id)
    except BodyRefused as error:
        raise ItemRejected(describe_refused_body(context, error)) from error
    except (CostTooHigh, httpx.LocalProtocolError) as error:
        raise ItemRejected(str(error)) from error
    except OtherOrigin as error:
        raise ItemDenied(str(error)) from error
    except httpx.RequestError as error:
        raise ItemRetryable(describe_request_error(error, context.source.timeout)) from error


def _requested_wait(context: ImportContext, response: httpx.Response) -> timedelta | None:
    """Return the wait that a response requests before the next try; at most the source's longest pause."""
    now = context.clock.now()
    wait = retry_after(response.headers.get("Retry-After"), now=answered_at(response.headers, otherwise=now))
    return None if wait is None else min(wait, context.source.max_pause)


def _next_attempt(context: ImportContext, claim: Claim, after: timedelta | None) -> datetime | None:
    failures = claim.failure_count + 1
    retry = context.source.retry
    if failures >= retry.tries:
        return None
    wait = retry_delay(failures, retry.backoff, context.chance())
    return context.clock.now() + (wait if after is None else max(wait, after))
