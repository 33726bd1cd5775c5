"""Follow-up requests: the row asks for more of its item, until it has all of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from import_pipeline.contracts import Importable
from import_pipeline.contracts.batches import has_follow_ups
from import_pipeline.errors import HookFailed, ItemError, ItemRejected
from import_pipeline.importer.enrichment.detail_answers import action_of, failure_of, send_request, without_details
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.user_code.hooks import ANYTHING, REQUEST_OR_NONE, call_hook
from import_pipeline.rules.responses.actions import ActionKind
from import_pipeline.tracking.claims import Done, Failure

#: Most follow-up requests of one item.
MOST_FOLLOW_UPS = 1_000


@dataclass(frozen=True, kw_only=True)
class Begun:
    """An item whose row wants a further answer before it is stored."""

    done: Done  #: as it will be stored
    following: httpx.Request
    sent: frozenset[str]  #: the fingerprints of its requests so far


def read_detail(
    done: Done, detail: Mapping[str, Any], response: httpx.Response, sent: frozenset[str] = frozenset()
) -> Done | Begun:
    """Read a detail into the item's row. Return the item, with its next request if it wants one.

    `sent` has the fingerprints of the requests so far. Raises HookFailed or ItemError.
    """
    row = done.importable
    call_hook(row, "populate", detail, returns=ANYTHING, response=response, passes=(ItemError,))
    if not has_follow_ups(type(row)):
        return done
    name = f"{type(row).__name__}.more"
    request = call_hook(row, "more", detail, returns=REQUEST_OR_NONE, response=response, passes=(ItemError,))
    if request is None:
        return done
    if (mark := _fingerprint(request)) in sent:
        raise ItemRejected(f"{name} returns a request that was sent for this item before: it would never end")
    if len(sent) > MOST_FOLLOW_UPS:
        raise ItemRejected(f"{name} still returns a request after {MOST_FOLLOW_UPS:,} follow-up requests")
    return Begun(done=done, following=request, sent=sent | {mark})


async def follow_up(context: ImportContext, begun: Begun) -> Done | Begun | Failure:
    """Send the item's next request and read its answer. Raises ImportFailed if no request will succeed."""
    done, response = begun.done, None
    try:
        response = await send_request(context, begun.following, [done.claim.status_id])
        action = action_of(context, response)
        if action.kind is ActionKind.GONE and action.is_default:  # a part of the item is missing, not the item
            raise ItemRejected(action.reason)
        if action.kind is not ActionKind.ACCEPT:
            return without_details(done, action)
        detail = call_hook(context.source, "detail", response, returns=ANYTHING, response=response, passes=(ItemError,))
        return read_detail(done, detail, response, begun.sent)
    except (ItemError, HookFailed) as error:
        return failure_of(context, done.claim, error, response)


def fingerprints(row: Importable, request: httpx.Request) -> frozenset[str]:
    """Return the fingerprints of a row's requests after its first one; none for a row without follow-ups.

    Few rows have any, and to hash each request costs time in all imports.
    """
    return frozenset({_fingerprint(request)}) if has_follow_ups(type(row)) else frozenset()


def _fingerprint(request: httpx.Request) -> str:
    """Return a text that two requests share if they are the same."""
    digest = hashlib.sha256()
    for part in (request.method.encode(), bytes(request.url.raw_path), repr(request.headers.raw).encode()):
        digest.update(part + b"\0")
    digest.update(request.read())
    return digest.hexdigest()
