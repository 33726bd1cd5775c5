"""Fetch one item: send its request, and read the response into the user's row."""

import httpx

from import_pipeline.contracts import Importable
from import_pipeline.contracts.hooks import label_of
from import_pipeline.contracts.importable import is_always_whole
from import_pipeline.errors import HookFailed, ItemError, ItemRejected
from import_pipeline.importer.enrichment.claimed_items import ClaimedItem
from import_pipeline.importer.enrichment.detail_answers import action_of, failure_of, send_request, without_details
from import_pipeline.importer.enrichment.follow_ups import Begun, fingerprints, read_detail
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.user_code.hooks import ANYTHING, REQUEST_OR_NONE, call_hook
from import_pipeline.ratelimit import SECONDS
from import_pipeline.rules.responses.actions import ActionKind
from import_pipeline.tracking.claims import Claim, Done, Failure

#: A longer ETag is not stored, since each request would send it back.
LONGEST_ETAG = 1_000


async def fetch_item(context: ImportContext, item: ClaimedItem) -> Done | Begun | Failure:
    """Fetch and read one item. Raises ImportFailed if the API says that no request will succeed."""
    claim, response = item.claim, None
    try:
        request = _request(claim, item.importable)
        sent = fingerprints(item.importable, request)
        response = await send_request(context, request, [claim.status_id])
        action = action_of(context, response, has_condition=claim.etag is not None)
        done = Done(
            claim=claim,
            importable=item.importable,
            etag=_etag(response) if context.source.conditional else None,
            request_seconds=response.extensions.get(SECONDS),
            http_status=response.status_code,
        )
        if action.kind is not ActionKind.ACCEPT:
            return without_details(done, action)
        detail = call_hook(context.source, "detail", response, returns=ANYTHING, response=response, passes=(ItemError,))
        return read_detail(done, detail, response, sent)
    except (ItemError, HookFailed) as error:
        return failure_of(context, claim, error, response)


def _etag(response: httpx.Response) -> str | None:
    """Return the ETag of the response, if it can be sent back."""
    tag = response.headers.get("ETag")
    return tag if tag is not None and tag.isascii() and len(tag) <= LONGEST_ETAG else None


def _request(claim: Claim, importable: Importable) -> httpx.Request:
    """Return the item's request, conditional if its last response had an ETag. Raises HookFailed or ItemRejected."""
    if is_always_whole(importable):
        raise ItemRejected(f"{type(importable).__name__} has no detail_request: only the list has this item")
    request = call_hook(importable, "detail_request", returns=REQUEST_OR_NONE, passes=(ItemError,))
    if request is None:
        raise ItemRejected(f"{label_of(importable, 'detail_request')} returns no request: only the list has this item")
    if claim.etag is not None:
        request.headers["If-None-Match"] = claim.etag  # RFC 9110, 13.1.2
    return request
