"""Phase one: page through the list, one page after another, and store stubs and item rows."""

from dataclasses import replace

import httpx
from sqlalchemy import Connection

from import_pipeline.errors import ApiBlocked, ImportFailed, LimiterUnavailable, UsageError
from import_pipeline.importer.checkpoint import Checkpoint
from import_pipeline.importer.listed import first_request, items_on, unreadable
from import_pipeline.importer.outage import ask, describe
from import_pipeline.importer.paging import advance, settle
from import_pipeline.importer.payload import refused
from import_pipeline.importer.work import StoredItem, Work
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.outcome import Verdict, judge
from import_pipeline.tracking import numbers, pages
from import_pipeline.tracking.pages import Discovered, Page


async def discover(work: Work) -> None:
    """Read the list from the checkpoint to its end. What makes that impossible asks the whole work to stop."""
    try:
        await _discover(work)
    except (ApiBlocked, ImportFailed, LimiterUnavailable, UsageError) as error:
        work.stop.ask(error)


async def _discover(work: Work) -> None:
    checkpoint = Checkpoint.read(work.row.checkpoint)
    request = None if checkpoint.next_url is None else httpx.Request(checkpoint.next_method, checkpoint.next_url)
    while not checkpoint.complete and not work.stop.asked.is_set():
        if request is None:
            request = first_request(work.source)
        response = await _fetch(work, request, checkpoint.page + 1)
        checkpoint, request = await _store(work, response, checkpoint)
        work.stirred.set()
    work.discovered = checkpoint.complete
    work.stirred.set()


async def _fetch(work: Work, request: httpx.Request, page: int) -> httpx.Response:
    """The page's answer; tried as often as the source's retry allows. Raises ImportFailed."""
    failures = 0
    while True:
        try:
            response = await ask(work, request, first=True)
        except BodyRefused as error:
            raise ImportFailed(f"list page {page}: {refused(work, error)}") from error
        except httpx.RequestError as error:
            reason = describe(error, work.source.timeout)
        else:
            judgement = judge(response.status_code, setting=work.token_setting)
            problem = unreadable(work.source, response) if judgement.verdict is Verdict.READ else judgement.reason
            if problem is None:
                return response
            reason = problem
            if judgement.verdict in {Verdict.STOP, Verdict.REJECT}:
                raise ImportFailed(f"list page {page}: {reason}")
        failures += 1
        if failures >= work.source.retry.tries:
            raise ImportFailed(f"list page {page}: {reason}, {failures} times")
        seconds = retry_delay(failures, work.source.retry.backoff, work.chance()).total_seconds()
        await work.tell_wait(f"list page {page}: {reason}", seconds)
        await work.clock.sleep(seconds)


async def _store(work: Work, response: httpx.Response, before: Checkpoint) -> tuple[Checkpoint, httpx.Request | None]:
    """Store a page with the checkpoint after it, in one transaction. Returns that and the next request."""
    found = items_on(work.source, response, before.page + 1)
    limit = work.option.get("limit")
    after, request = advance(work, response, before, [item.external_id for item in found])
    if limit is not None and before.seen + len(found) >= limit:
        found = found[: limit - before.seen]
        after = replace(after.ended(), seen=limit, total=None)

    def store(connection: Connection) -> Checkpoint:
        page = Page(items=found, checkpoint=after.dump(), total=after.total)
        sent = work.uncounted.take(connection)
        new = pages.store_page(connection, work.row, work.lease, work.source.model, page, work.clock.now(), sent)
        if work.source.partitions.size is not None:
            numbers.number(connection, work.source.name, [item.external_id for item in found])
        return settle(connection, work, after, new=new, found=len({item.external_id for item in found}))

    settled = await work.write(store)
    await work.aside(lambda: _tell(work, found))
    return settled, (request if settled.page else None)


def _tell(work: Work, found: list[Discovered]) -> None:
    readable = [item for item in found if item.importable is not None]
    work.listener.page_stored([item.external_id for item in readable])
    work.listener.items_stored([StoredItem(external_id=item.external_id) for item in readable if item.whole])
