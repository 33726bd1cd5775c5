"""One item: its request, its answer, its details in the user's row."""

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

#: A longer tag is none that we would send back with each request.
LONGEST_ETAG = 1_000


async def fetch_item(work: ImportContext, claim: Claim, importable: Importable) -> Done | Failure:
    """Fetch and read one item. Raises ImportFailed when the API says that no request will work."""
    response = None
    try:
        request = _request(claim, importable)
        response = await _ask(work, request, claim)
        unchanged = _read(work, claim, response, importable)
    except (ItemRejected, HookFailed) as error:
        return Failure(
            claim=claim,
            reason=str(error),
            next_attempt_at=None,
            payload=_kept(work, response),
            is_denied=isinstance(error, ItemDenied),
        )
    except ItemRetryable as error:
        again, payload = _next_attempt(work, claim, error.after), _kept(work, response)
        return Failure(claim=claim, reason=str(error), next_attempt_at=again, payload=payload, may_pass=True)
    return Done(
        claim=claim,
        importable=importable,
        etag=_etag(response) if work.source.conditional else None,
        unchanged=unchanged,
        request_seconds=response.extensions.get(SECONDS),
        http_status=response.status_code,
    )


def _kept(work: ImportContext, response: httpx.Response | None) -> str | None:
    """What is kept of the answer by which the item failed, where the source wants it and there was one."""
    if response is None:
        return None
    register_response_secrets(response)
    return response_excerpt(response) if work.source.keep_payloads else None


def _etag(response: httpx.Response) -> str | None:
    """The answer's tag, if it can be sent back."""
    tag = response.headers.get("ETag")
    return tag if tag is not None and tag.isascii() and len(tag) <= LONGEST_ETAG else None


def _request(claim: Claim, importable: Importable) -> httpx.Request:
    """The item's request, conditional where its last answer bore a tag. Raises HookFailed or ItemRejected."""
    request = call_hook(importable, "detail_request", returns=REQUEST_OR_NONE, passes=(ItemError,))
    if request is None:
        name = type(importable).__name__
        raise ItemRejected(f"{name}.detail_request gives no request: the item comes whole from the list only")
    if claim.etag is not None:
        request.headers["If-None-Match"] = claim.etag  # RFC 9110, 13.1.2
    return request


def _read(work: ImportContext, claim: Claim, response: httpx.Response, importable: Importable) -> bool:
    """Let the importable take the answer over; True where it says that nothing has changed.

    Raises HookFailed or ItemError.
    """
    judgement = classify(response.status_code, setting=work.token_setting)
    match judgement.action:
        case ResponseAction.ABORT:
            raise ItemDenied(judgement.reason)
        case ResponseAction.REJECT:
            raise ItemRejected(judgement.reason)
        case ResponseAction.RETRY:
            raise ItemRetryable(judgement.reason, _wait_asked_for(work, response))
        case ResponseAction.NOT_MODIFIED if claim.etag is None:
            raise ItemRejected(judgement.reason)
        case ResponseAction.NOT_MODIFIED:
            return True
    detail = call_hook(work.source, "detail", response, returns=ANYTHING, response=response, passes=(ItemError,))
    call_hook(importable, "populate", detail, returns=ANYTHING, response=response, passes=(ItemError,))
    return False


async def _ask(work: ImportContext, request: httpx.Request, claim: Claim) -> httpx.Response:
    """The answer. A connection that breaks is tried once more at once: servers close idle ones at any time.

    Raises HookFailed, ItemError or ImportFailed.
    """
    try:
        try:
            return await send(work, request, claim=claim.status_id)
        except httpx.ReadError:
            return await send(work, request, claim=claim.status_id)
    except BodyRefused as error:
        raise ItemRejected(describe_refused_body(work, error)) from error
    except (CostTooHigh, httpx.LocalProtocolError) as error:
        raise ItemRejected(str(error)) from error
    except OtherOrigin as error:
        raise ItemDenied(str(error)) from error
    except httpx.RequestError as error:
        raise ItemRetryable(describe_request_error(error, work.source.timeout)) from error


def _wait_asked_for(work: ImportContext, response: httpx.Response) -> timedelta | None:
    """The wait that an answer asks for before its item is tried again; never more than the source allows."""
    now = work.clock.now()
    wait = retry_after(response.headers.get("Retry-After"), now=answered_at(response.headers, otherwise=now))
    return None if wait is None else min(wait, work.source.max_pause)


def _next_attempt(work: ImportContext, claim: Claim, after: timedelta | None) -> datetime | None:
    failures = claim.failure_count + 1
    retry = work.source.retry
    if failures >= retry.tries:
        return None
    wait = retry_delay(failures, retry.backoff, work.chance())
    return work.clock.now() + (wait if after is None else max(wait, after))
