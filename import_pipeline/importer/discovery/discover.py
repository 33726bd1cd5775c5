"""Phase one: page through the list, one page after another, and store stubs and item rows."""

from dataclasses import replace
from datetime import timedelta

import httpx
from sqlalchemy import Connection

from import_pipeline.errors import ApiBlocked, ImportFailed, LimiterUnavailable, UsageError
from import_pipeline.importer.discovery.checkpoint import Checkpoint
from import_pipeline.importer.discovery.first_page import basis_of, restart, resume
from import_pipeline.importer.discovery.list_page import first_request, page_problem, parse_items
from import_pipeline.importer.discovery.next_page import is_numbered
from import_pipeline.importer.discovery.page_writer import PageWriter
from import_pipeline.importer.discovery.pagination import check_pass, next_page
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.importer.runtime.response_errors import describe_missing_list, describe_refused_body
from import_pipeline.importer.runtime.sending import describe_request_error, send
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.lists.page_status import PageVerdict, judge_page
from import_pipeline.rules.responses.rate_limit_headers import answered_at, retry_after
from import_pipeline.tracking import source_items
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.list_pages import Apart, Discovered, Page

#: A response to a list request that requests a longer wait counts as a mistake: then the backoff decides.
LONGEST_WAIT = timedelta(minutes=10)


async def discover(context: ImportContext) -> None:
    """Read the list from the checkpoint to its end. An error that makes this impossible stops the import."""
    try:
        await _discover(context)
    except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
        context.stop.request(error)


async def _discover(context: ImportContext) -> None:
    checkpoint, request = await resume(context)
    writer = PageWriter(context)
    while not checkpoint.complete and not context.stop.requested.is_set():
        if request is None:
            checkpoint = replace(checkpoint, basis=basis_of(context))
            request = first_request(context.source)
        try:
            response = await _fetch(context, request, checkpoint)
        except PageRejected as error:
            checkpoint, request = await _after_rejection(context, checkpoint, str(error)), None
        else:
            checkpoint, request = await _store(context, writer, response, checkpoint)
        context.work_available.set()
    if checkpoint.complete:
        await writer.store_parked()
    context.discovered = checkpoint.complete
    context.work_available.set()


class PageRejected(Exception):
    """The API rejects the request for a later page of the list; the message says why."""


async def _fetch(context: ImportContext, request: httpx.Request, before: Checkpoint) -> httpx.Response:
    """Return the response for the page, within the source's tries. Raises PageRejected and ImportFailed."""
    failures, page = 0, before.page + 1
    while True:
        requested = None
        try:
            response = await send(context, request, first=True)
        except BodyRefused as error:
            raise ImportFailed(f"list page {page}: {describe_refused_body(context, error)}") from error
        except httpx.RequestError as error:
            reason = describe_request_error(error, context.source.timeout)
        else:
            verdict, reason = judge_page(response.status_code, setting=context.token_setting)
            if verdict is PageVerdict.READ:
                problem = page_problem(context.source, response)
                if problem is None:
                    return response
                reason = problem
            elif verdict is PageVerdict.ABSENT:
                return response
            elif verdict is PageVerdict.REJECTED and before.page:
                raise PageRejected(f"list page {page}: {reason}")
            elif verdict is not PageVerdict.AGAIN:
                missing = None if before.page else describe_missing_list(context.source, response)
                raise ImportFailed(f"list page {page}: {missing or reason}")
            requested = _requested_wait(context, response)
        failures += 1
        if failures >= context.source.retry.tries:
            raise ImportFailed(f"list page {page}: {reason}, {failures} times")
        delay = retry_delay(failures, context.source.retry.backoff, context.chance())
        seconds = max(delay, requested or delay).total_seconds()
        await context.record_wait(f"list page {page}: {reason}", seconds)
        await context.clock.sleep(seconds)


def _requested_wait(context: ImportContext, response: httpx.Response) -> timedelta | None:
    """Return the wait that the response requests, or None if the import must not pause that long."""
    now = answered_at(response.headers, otherwise=context.clock.now())
    wait = retry_after(response.headers.get("retry-after"), now=now)
    return wait if wait is not None and wait <= LONGEST_WAIT else None


async def _after_rejection(context: ImportContext, before: Checkpoint, reason: str) -> Checkpoint:
    """Read the list again, once: its cursor may have expired. After a second rejection, end it with the reason.

    If the previous numbered page had no body, a rejected page means the end of the list. A total proves nothing: search
    engines reject pages beyond the 10,000 items that they count.
    """
    is_end = before.absent and is_numbered(context.source)
    if not is_end and not before.rejections:
        return await restart(context, before.restarted(is_rejected=True), reason)
    after = before.ended(None if is_end else f"{reason}, also after the list was read again")
    return await context.write(check_pass, context, after, new=0, found=0)


async def _store(
    context: ImportContext, writer: PageWriter, response: httpx.Response, before: Checkpoint
) -> tuple[Checkpoint, httpx.Request | None]:
    """Store a page with the checkpoint after it, in one transaction. Return that checkpoint and the next request."""
    is_absent = judge_page(response.status_code, setting="")[0] is PageVerdict.ABSENT
    found = [] if is_absent else parse_items(context.source, response, before.page + 1)
    limit = context.options.limit
    after, request = next_page(context, response, before, [item.external_id for item in found])
    if limit is not None and before.seen + len(found) >= limit:
        found = found[: limit - before.seen]
        after = replace(after.ended(), seen=limit, total=None)

    page = Page(items=found, checkpoint=after.dump(), total=_items_count(after))

    def store(connection: Connection, apart: Apart | None) -> Checkpoint:
        sent, now = context.pending_counts.drain(connection), context.clock.now()
        new = list_pages.store_page(
            connection, context.row, context.lease, context.source.model, page, now, sent, apart
        )
        if context.source.partitions.size is not None:
            source_items.assign_numbers(connection, context.source.name, [item.external_id for item in found])
        return check_pass(connection, context, after, new=new, found=len({item.external_id for item in found}))

    settled = await writer.store(page, store)
    await context.in_writer_thread(lambda: _report(context, found))
    return settled, (request if settled.page else None)


def _items_count(after: Checkpoint) -> int | None:
    """Return the known number of items of the list: a capped total is too small."""
    return None if after.total is None else max(after.total, after.seen)


def _report(context: ImportContext, found: list[Discovered]) -> None:
    unique = {item.external_id: item for item in found}
    readable = [item for item in unique.values() if item.importable is not None]
    context.listener.page_stored([item.external_id for item in readable])
    context.listener.items_stored([StoredItem(external_id=item.external_id) for item in readable if item.whole])
