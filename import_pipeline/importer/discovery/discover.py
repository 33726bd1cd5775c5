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
from import_pipeline.importer.runtime.response_errors import describe_refused_body
from import_pipeline.importer.runtime.sending import describe_request_error, send
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.lists.page_status import PageVerdict, judge_page
from import_pipeline.rules.responses.rate_limit_headers import answered_at, retry_after
from import_pipeline.tracking import list_pages, source_items
from import_pipeline.tracking.list_pages import Apart, Discovered, Page

#: A longer wait that an answer to a list request asks for is taken for a mistake: the backoff decides then.
LONGEST_WAIT = timedelta(minutes=10)


async def discover(work: ImportContext) -> None:
    """Read the list from the checkpoint to its end. What makes that impossible asks the whole work to stop."""
    try:
        await _discover(work)
    except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
        work.stop.request(error)


async def _discover(work: ImportContext) -> None:
    checkpoint, request = await resume(work)
    writer = PageWriter(work)
    while not checkpoint.complete and not work.stop.requested.is_set():
        if request is None:
            checkpoint = replace(checkpoint, basis=basis_of(work))
            request = first_request(work.source)
        try:
            response = await _fetch(work, request, checkpoint)
        except PageRejected as error:
            checkpoint, request = await _after_rejection(work, checkpoint, str(error)), None
        else:
            checkpoint, request = await _store(work, writer, response, checkpoint)
        work.work_available.set()
    if checkpoint.complete:
        await writer.store_parked()
    work.discovered = checkpoint.complete
    work.work_available.set()


class PageRejected(Exception):
    """The API does not accept the request for a later page of the list; the text says why."""


async def _fetch(work: ImportContext, request: httpx.Request, before: Checkpoint) -> httpx.Response:
    """The page's answer; tried as often as the source's retry allows. Raises PageRejected and ImportFailed."""
    failures, page = 0, before.page + 1
    while True:
        asked_for = None
        try:
            response = await send(work, request, first=True)
        except BodyRefused as error:
            raise ImportFailed(f"list page {page}: {describe_refused_body(work, error)}") from error
        except httpx.RequestError as error:
            reason = describe_request_error(error, work.source.timeout)
        else:
            verdict, reason = judge_page(response.status_code, setting=work.token_setting)
            if verdict is PageVerdict.READ:
                problem = page_problem(work.source, response)
                if problem is None:
                    return response
                reason = problem
            elif verdict is PageVerdict.ABSENT:
                return response
            elif verdict is PageVerdict.REJECTED and before.page:
                raise PageRejected(f"list page {page}: {reason}")
            elif verdict is not PageVerdict.AGAIN:
                raise ImportFailed(f"list page {page}: {reason}")
            asked_for = _asked_for(work, response)
        failures += 1
        if failures >= work.source.retry.tries:
            raise ImportFailed(f"list page {page}: {reason}, {failures} times")
        delay = retry_delay(failures, work.source.retry.backoff, work.chance())
        seconds = max(delay, asked_for or delay).total_seconds()
        await work.record_wait(f"list page {page}: {reason}", seconds)
        await work.clock.sleep(seconds)


def _asked_for(work: ImportContext, response: httpx.Response) -> timedelta | None:
    """The wait that the answer asks for, if the import may stand still for so long."""
    now = answered_at(response.headers, otherwise=work.clock.now())
    wait = retry_after(response.headers.get("retry-after"), now=now)
    return wait if wait is not None and wait <= LONGEST_WAIT else None


async def _after_rejection(work: ImportContext, before: Checkpoint, reason: str) -> Checkpoint:
    """Read the list again, once: its cursor may have expired. At a second time, end it with the reason.

    A numbered page that was asked for only because the one before it had no body is no page of the list. A total
    proves nothing: search engines refuse what lies behind the 10,000 items that they count.
    """
    is_end = before.absent and is_numbered(work.source)
    if not is_end and not before.rejections:
        return await restart(work, before.restarted(is_rejected=True), reason)
    after = before.ended(None if is_end else f"{reason}, also after the list was read again")
    return await work.write(check_pass, work, after, new=0, found=0)


async def _store(
    work: ImportContext, writer: PageWriter, response: httpx.Response, before: Checkpoint
) -> tuple[Checkpoint, httpx.Request | None]:
    """Store a page with the checkpoint after it, in one transaction. Returns that and the next request."""
    is_absent = judge_page(response.status_code, setting="")[0] is PageVerdict.ABSENT
    found = [] if is_absent else parse_items(work.source, response, before.page + 1)
    limit = work.options.limit
    after, request = next_page(work, response, before, [item.external_id for item in found])
    if limit is not None and before.seen + len(found) >= limit:
        found = found[: limit - before.seen]
        after = replace(after.ended(), seen=limit, total=None)

    page = Page(items=found, checkpoint=after.dump(), total=_items_count(after))

    def store(connection: Connection, apart: Apart | None) -> Checkpoint:
        sent, now = work.pending_counts.drain(connection), work.clock.now()
        new = list_pages.store_page(connection, work.row, work.lease, work.source.model, page, now, sent, apart)
        if work.source.partitions.size is not None:
            source_items.assign_numbers(connection, work.source.name, [item.external_id for item in found])
        return check_pass(connection, work, after, new=new, found=len({item.external_id for item in found}))

    settled = await writer.store(page, store)
    await work.in_writer_thread(lambda: _tell(work, found))
    return settled, (request if settled.page else None)


def _items_count(after: Checkpoint) -> int | None:
    """The number of items of the list, as far as it is known: a total that is capped is too small."""
    return None if after.total is None else max(after.total, after.seen)


def _tell(work: ImportContext, found: list[Discovered]) -> None:
    unique = {item.external_id: item for item in found}
    readable = [item for item in unique.values() if item.importable is not None]
    work.listener.page_stored([item.external_id for item in readable])
    work.listener.items_stored([StoredItem(external_id=item.external_id) for item in readable if item.whole])
