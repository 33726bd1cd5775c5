"""Read one list page by page, each page in one transaction. Any row may keep the checkpoint of the list."""

from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx
from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportFailed
from import_pipeline.importer.bookmarks.expiry import describe_refused_list
from import_pipeline.importer.bookmarks.reading import is_wholly_below, newest_only, read_positions, resumed_mark
from import_pipeline.importer.discovery.checkpoint import Basis, Checkpoint
from import_pipeline.importer.discovery.next_page import ListFailed, absolute
from import_pipeline.importer.discovery.page_writer import PageWriter
from import_pipeline.importer.discovery.pagination import (
    OpenList,
    cap_reached,
    check_pass,
    next_page,
    note_changes,
    parts_of,
)
from import_pipeline.importer.discovery.stored_request import load_request, print_of
from import_pipeline.importer.discovery.stored_versions import fingerprint_of_version
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.runtime.progress import ProgressListener, StoredItem
from import_pipeline.importer.runtime.response_errors import describe_refused_body, describe_wrong_path
from import_pipeline.importer.runtime.sending import describe_request_error, send
from import_pipeline.importer.user_code.answers import stated_action
from import_pipeline.importer.user_code.declared_paths import path_of_items
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.redaction import redact
from import_pipeline.rules.lists.page_status import USABLE, PageVerdict
from import_pipeline.rules.lists.positions import parse_position
from import_pipeline.rules.responses.rate_limit_headers import answered_at, retry_after
from import_pipeline.tracking import events, source_items
from import_pipeline.tracking.lists import list_pages
from import_pipeline.tracking.lists.item_positions import were_deleted_or_restored, without_older
from import_pipeline.tracking.lists.list_pages import Apart, Discovered, Page

#: Event: the list is read again from page 1, in the same import.
LIST_RESTARTED = "list_restarted"
#: Event: the source said that the list is as it was.
LIST_UNCHANGED = "list_unchanged"
UNCHANGED = "The list has not changed: no item of it is requested, and none is marked as gone."
#: A response to a list request that requests a longer wait counts as a mistake: then the backoff decides.
LONGEST_WAIT = timedelta(minutes=10)
#: Statuses by which a wrong token or a wrong address shows: many slices in a row with one of them end the import.
DENIALS = frozenset(
    {HTTPStatus.FORBIDDEN, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
)


class PageFailed(Exception):
    """A page could not be read this time. `wait` is the least time before another try, if the API names one."""

    def __init__(self, page: int, reason: str, wait: timedelta | None = None) -> None:
        super().__init__(f"list page {page}: {reason}")
        self.wait = wait


class PageRejected(Exception):
    """The API rejects the request for a later page of the list; the message says why."""


class ListReader:
    """Reads one list from its checkpoint on. Each page is requested once per call; the caller decides about retries."""

    def __init__(self, opened: OpenList, writer: PageWriter) -> None:
        self.opened = opened
        self.checkpoint = Checkpoint()
        self._context = opened.context
        self._list = opened.source_list
        self._writer = writer
        self._request: httpx.Request | None = None  #: for the next page; None: for page one, which is not built yet

    async def resume(self, checkpoint: Checkpoint) -> None:
        """Continue at a stored checkpoint.

        It is invalid for another page size, another address or another list. Then the list is read from page one, and
        an event says so.
        """
        self.checkpoint = checkpoint
        if checkpoint.complete or not checkpoint.page:
            return
        basis = self._basis()
        if checkpoint.basis is None:
            difference: str | None = "it was stored by another version"
        else:
            difference = checkpoint.basis.difference(basis)
        if difference is not None:
            await self._restart(checkpoint.restarted(), difference)
            return
        self._request = self._resumed_request(checkpoint)
        if self._request is None:
            reason = "the request for its next page cannot be stored, since it holds a secret that is in no setting"
            await self._restart(checkpoint.restarted(), reason)
            return
        mark = resumed_mark(self._context.source, self._context.row, checkpoint.mark)
        self.checkpoint = replace(checkpoint, basis=basis, mark=mark)

    async def read_page(self) -> None:
        """Request the next page and store it. Raises PageFailed, HookFailed and ImportFailed."""
        if self._request is None:
            mark = resumed_mark(self._context.source, self._context.row, self.checkpoint.mark)
            self.checkpoint = replace(self.checkpoint, basis=self._basis(), mark=mark)
            self._request = self._list.first_request()
        try:
            response, verdict = await self._fetch(self._request)
        except PageRejected as error:
            await self._after_rejection(str(error))
        else:
            await self._store(response, verdict)

    def _resumed_request(self, checkpoint: Checkpoint) -> httpx.Request | None:
        """Return the request after the checkpoint's page; None if it cannot be built."""
        if self._list.is_numbered:  # built again, since it may hold a signature or the time
            return absolute(self._context, self._list.first_request(checkpoint.page + 1))
        if checkpoint.next_request is None:
            return None
        return load_request(checkpoint.next_request, self._context.api.secrets, self._context.api.client.base_url)

    def _basis(self) -> Basis:
        """Return the conditions of a checkpoint, by the source's current settings and code."""
        context = self._context
        first = absolute(context, self._list.first_request())
        return Basis(
            per_page=context.source.per_page,
            base=redact(str(context.api.client.base_url)),
            first=print_of(first, context.api.secrets, context.clock.now()),
            items=path_of_items(context.source),
            versions=fingerprint_of_version(context.source),
        )

    async def _restart(self, checkpoint: Checkpoint, reason: str) -> None:
        """Store the checkpoint before page one, and note why the list is read again."""
        context, sentence = self._context, f"{self._list.title} is read again from page 1: {reason}."

        def store(connection: Connection) -> None:
            now = context.clock.now()
            self.opened.row.settle(connection, context.lease, now, checkpoint.dump())
            events.note(connection, context.row.id, now, LIST_RESTARTED, sentence)

        await context.write(store)
        self.checkpoint, self._request = checkpoint, None

    async def _fetch(self, request: httpx.Request) -> tuple[httpx.Response, PageVerdict]:
        """Return the response for the page, and a usable verdict. Raises PageFailed, PageRejected and ImportFailed."""
        context, before = self._context, self.checkpoint
        page, source = before.page + 1, context.source
        try:
            response = await send(context, request, first=True)
        except BodyRefused as error:
            refused = describe_refused_body(context, error)
            raise ListFailed(f"list page {page}: {refused}", refused) from error
        except httpx.RequestError as error:
            raise PageFailed(page, describe_request_error(error, source.timeout)) from error
        verdict, reason = self._list.verdict(response, is_first=not before.page)
        if verdict is PageVerdict.READ:
            problem = self._list.problem(response)
            if problem is None:
                return response, verdict
            if not before.page and (wrong := await describe_wrong_path(context, response, problem)) is not None:
                raise ListFailed(f"list page {page}: {wrong}", str(problem))
            raise PageFailed(page, str(problem), _requested_wait(context, response))
        if verdict in USABLE:
            return response, verdict
        if verdict is PageVerdict.AGAIN:
            raise PageFailed(page, reason, _requested_wait(context, response))
        if verdict is PageVerdict.REJECTED and before.page:
            raise PageRejected(f"list page {page}: {reason}")
        if verdict is PageVerdict.STOP:
            raise ImportFailed(f"list page {page}: {reason}")
        is_stated = stated_action(response) is not None
        asks = not (before.page or is_stated)
        missing = await describe_refused_list(context, response, self._list.hook) if asks else None
        is_denied = response.status_code in DENIALS and not is_stated
        raise ListFailed(f"list page {page}: {missing or reason}", reason, is_denied=is_denied)

    async def _after_rejection(self, reason: str) -> None:
        """Read the list again, once: its cursor may have expired. After a second rejection, end it with the reason.

        If the previous numbered page had no body, a rejected page means the end of the list. A total proves nothing:
        search engines reject pages beyond the 10,000 items that they count.
        """
        before = self.checkpoint
        is_end = before.absent and self._list.is_numbered
        if (stopped := cap_reached(self.opened, before, ahead=self._context.source.per_page)) is not None:
            self.opened.row.parts = parts_of(self._list)
            after = before.capped(stopped)
        elif not is_end and not before.rejections:
            await self._restart(before.restarted(is_rejected=True), reason)
            return
        else:
            after = before.ended(None if is_end else f"{reason}, also after the list was read again")
        self.checkpoint = await self._context.write(check_pass, self.opened, after, new=0, found=0)
        self._request = None

    async def _store(self, response: httpx.Response, verdict: PageVerdict) -> None:
        """Store a page with the checkpoint after it, in one transaction."""
        context, before = self._context, self.checkpoint
        found = self._list.parse(response, before.page + 1) if verdict is PageVerdict.READ else []
        room = self.opened.room(before)
        after, request = next_page(self.opened, response, verdict, before, [item.external_id for item in found])
        if after.is_capped:
            self.opened.row.parts = parts_of(self._list)
            found = [] if self.opened.row.parts and not before.page else found  # its parts list them again
        if room is not None and len(found) >= room:
            found = found[:room]
            after = replace(after.ended(), seen=before.seen + room, total=None)
        source = self._list.source
        found, after = _placed(source, found, after, answered_at(response.headers, otherwise=context.clock.now()))
        if source.order == "newest_first" and source.since is not None:
            found = await context.write(without_older, context.row, found)
        live = [item for item in found if not item.is_deleted]
        page = Page(items=live, checkpoint=after.dump(), total=_items_count(after), reading=_reading(context, after))

        def store(connection: Connection, apart: Apart | None) -> Checkpoint:
            sent, now = context.pending_counts.drain(connection), context.clock.now()
            model, row = context.source.model, self.opened.row
            is_placed = context.source.incremental is not None
            has_moved = is_placed and were_deleted_or_restored(connection, context.row, found, after.passes)
            new = list_pages.store_page(connection, context.row, context.lease, model, page, now, sent, apart, row)
            if after.is_unchanged:
                self._keep_items(connection)
            if context.source.partitions.size is not None:
                source_items.assign_numbers(connection, context.source.name, [item.external_id for item in live])
            noted = note_changes(connection, self.opened, found, after, now, has_moved=has_moved)
            return check_pass(connection, self.opened, noted, new=new, found=len({item.external_id for item in live}))

        self.checkpoint = await self._writer.store(page, store)
        await context.in_writer_thread(lambda: _report(context.listener, live))
        self._request = request if self.checkpoint.page else None

    def _keep_items(self, connection: Connection) -> None:
        """Take all items of the list as met: the source said that it is as it was."""
        context = self._context
        source_items.keep_listed(connection, context.row, self._list.key)
        if self._list.key is None:  # there may be a million slices
            events.note(connection, context.row.id, context.clock.now(), LIST_UNCHANGED, UNCHANGED)


def _report(listener: ProgressListener, found: list[Discovered]) -> None:
    unique = {item.external_id: item for item in found}
    readable = [item for item in unique.values() if item.importable is not None]
    listener.page_stored([item.external_id for item in readable])
    listener.items_stored([StoredItem(external_id=item.external_id) for item in readable if item.whole])


def _requested_wait(context: ImportContext, response: httpx.Response) -> timedelta | None:
    """Return the wait that the source or the response states, or None if the import must not pause that long."""
    stated = stated_action(response)
    if stated is not None and stated.wait is not None:
        return min(stated.wait, context.source.max_pause)
    now = answered_at(response.headers, otherwise=context.clock.now())
    wait = retry_after(response.headers.get("retry-after"), now=now)
    return wait if wait is not None and wait <= LONGEST_WAIT else None


def _placed(
    source: ImportSource, found: list[Discovered], after: Checkpoint, answered_at: datetime
) -> tuple[list[Discovered], Checkpoint]:
    """Return the items of a page to store, and the checkpoint with what their positions show.

    A list that is newest first ends where all items of a page lie below the position to read from.
    """
    if source.incremental is not None:
        found, mark = read_positions(source, after.mark, found, answered_at)
        after = replace(after, mark=mark)
    kept = found
    if source.order == "newest_first":
        kept = newest_only(found)
        if source.since is not None:
            since = parse_position(source.since)
            kept = [item for item in kept if item.position is None or not item.position < since]
            if is_wholly_below(found, since):
                after = replace(after.ended(), total=None)
    named = {item.external_id for item in found}
    rowless = len(named) - len({item.external_id for item in kept if not item.is_deleted})
    return kept, replace(after, rowless=after.rowless + rowless)


def _reading(context: ImportContext, after: Checkpoint) -> int | None:
    return None if context.source.incremental is None else after.passes


def _items_count(after: Checkpoint) -> int | None:
    """Return the known number of items of the list: a capped total is too small."""
    return None if after.total is None else max(after.total, after.seen)
