"""Fetch a batch: one request for many items. A refused one is halved until the item that spoils it fails alone."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import httpx

from import_pipeline.errors import HookFailed, ItemDenied, ItemError, ItemRetryable
from import_pipeline.importer.enrichment.claimed_items import ClaimedItem
from import_pipeline.importer.enrichment.detail_answers import action_of, failure_of, send_request, without_details
from import_pipeline.importer.enrichment.follow_ups import Begun, read_detail
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.user_code.answers import stated_action
from import_pipeline.importer.user_code.batch_answers import BatchDetails, details_of
from import_pipeline.importer.user_code.hooks import REQUEST, call_hook
from import_pipeline.ratelimit import SECONDS
from import_pipeline.rules.batches import halves
from import_pipeline.rules.responses.actions import ActionKind
from import_pipeline.tracking.claims import Done, Failure

#: Statuses of an answer that no part of the batch would change: the token is wrong, or the limits are.
OF_ALL = frozenset({401, 429})
#: Actions that end an item without details; of a batch they mean some of its items, or all.
LEFT_OUT = frozenset({ActionKind.SKIP, ActionKind.GONE})
#: Event: the API refuses as many items in one request as the source asks for.
SMALLER_BATCHES = "batches_smaller"
#: Event: the API sends details of items that were not requested.
NOT_REQUESTED = "details_not_requested"


class Attempt(Protocol):
    """Opens the permission to send a request, as `Circuit.attempt` does."""

    def __call__(self) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, kw_only=True)
class _Refused:
    """The batch is refused as it is; parts of it may be accepted."""

    reason: str


class BatchFetcher:
    """Fetches batches, and hands each answer to `submit` at once: a crash repeats only requests in flight."""

    def __init__(
        self,
        context: ImportContext,
        attempt: Attempt,
        measure: Callable[[Awaitable[Any]], Awaitable[Any]],
        submit: Callable[[Sequence[Done | Begun | Failure]], Awaitable[None]],
    ) -> None:
        self.most = context.source.details_per_request or 1  #: items in one request; fewer once the API refuses so many
        self.not_requested = 0  #: details in answers that no request asked for
        self._accepted = 0  #: most items of an accepted request
        self._context = context
        self._attempt = attempt
        self._measure = measure
        self._submit = submit

    async def fetch(self, items: Sequence[ClaimedItem]) -> bool:
        """Fetch and submit the items. Return True if one request was enough; stop early if the import stops."""
        if len(items) > self.most:
            return await self._in_halves(items)
        if self._context.stop.requested.is_set():
            return False
        async with self._attempt():  # until the items are stored, which may close the circuit
            found = await self._measure(self._fetch(items))
            if not isinstance(found, _Refused):
                await self._submit(found)
                accepted = any(
                    isinstance(each, Begun) or (isinstance(each, Done) and not each.left_out) for each in found
                )
                self._accepted = max(self._accepted, len(items) if accepted else 0)
                return accepted
        if await self._in_halves(items):
            await self._shrink(len(halves(items)[0]), found.reason)
        return False

    async def _in_halves(self, items: Sequence[ClaimedItem]) -> bool:
        """Fetch both halves. Return True if both were accepted."""
        return all([await self.fetch(half) for half in halves(items)])

    async def _shrink(self, most: int, reason: str) -> None:
        """Send at most that many items from now on: a refused batch is accepted in halves, so it was too large.

        If as many were accepted before, something else was wrong with it.
        """
        if most >= self.most or self._accepted > most:
            return
        self.most = most
        sentence = f"A request for more than {most} items is refused ({reason}): further ones are for {most} at most."
        await self._context.note(SMALLER_BATCHES, sentence, most=most, reason=reason)

    async def _fetch(self, items: Sequence[ClaimedItem]) -> list[Done | Begun | Failure] | _Refused:
        """Send one request for the items and read its answer. Raises ImportFailed if no request will succeed."""
        context, response = self._context, None
        try:
            rows = [item.importable for item in items]
            request = call_hook(context.source, "details_request", rows, returns=REQUEST, passes=(ItemError,))
            response = await send_request(context, request, [item.claim.status_id for item in items])
            action = action_of(context, response)
            if action.kind in LEFT_OUT and len(items) > 1:  # which of them it means shows when each is alone
                return _Refused(reason=action.reason)
            if action.kind is not ActionKind.ACCEPT:
                return [without_details(self._done(items, item, response), action) for item in items]
            details = details_of(context.source, response)
        except (ItemError, HookFailed) as error:
            if len(items) > 1 and not self._concerns_all(items, error, response):
                return _Refused(reason=str(error))
            return self._all_failed(items, error, response)
        self.not_requested += details.others({item.claim.external_id for item in items})
        return [self._read(items, item, details, response) for item in items]

    def _concerns_all(self, items: Sequence[ClaimedItem], error: Exception, response: httpx.Response | None) -> bool:
        """Return True if parts of the batch would fail as well: now, or by an error that may pass."""
        if isinstance(error, ItemRetryable):
            return items[0].claim.failure_count + 1 < self._context.source.retry.tries
        if response is None or not isinstance(error, ItemDenied):
            return isinstance(error, ItemDenied)
        stated = stated_action(response)
        return response.status_code in OF_ALL or (stated is not None and stated.kind is ActionKind.RATE_LIMITED)

    def _all_failed(
        self, items: Sequence[ClaimedItem], error: Exception, response: httpx.Response | None
    ) -> list[Done | Begun | Failure]:
        """Return the failed try of each item. All have the same next try, so that they are requested together again.

        The excerpt of a long response takes milliseconds, so all items share one.
        """
        first = items[0].claim
        failure = replace(failure_of(self._context, first, error, response), batch=first.external_id)
        return [replace(failure, claim=item.claim) for item in items]

    def _read(
        self, items: Sequence[ClaimedItem], item: ClaimedItem, details: BatchDetails, response: httpx.Response
    ) -> Done | Begun | Failure:
        """Read the item's own detail into its row."""
        context, claim, detail = self._context, item.claim, None
        done = self._done(items, item, response)
        try:
            detail = details.of(claim.external_id)
            return read_detail(done, detail, response)
        except (ItemError, HookFailed) as error:
            return replace(failure_of(context, claim, error, response, detail), batch=done.batch)

    def _done(self, items: Sequence[ClaimedItem], item: ClaimedItem, response: httpx.Response) -> Done:
        return Done(
            claim=item.claim,
            importable=item.importable,
            request_seconds=response.extensions.get(SECONDS),
            http_status=response.status_code,
            batch=items[0].claim.external_id,
        )
