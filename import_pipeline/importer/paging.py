"""How paging goes on after a page: to the next one, from page one again, or not at all."""

from dataclasses import replace

import httpx
from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.importer.checkpoint import Checkpoint
from import_pipeline.importer.listed import next_request, total_of
from import_pipeline.importer.work import Work
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import items as item_rows
from import_pipeline.tracking.leases import write

#: How often the list is read again when it shifts under our hands, before the import ends as incomplete.
MAX_PASSES = 3
#: So many pages in a row with nothing but items of earlier pages: the list goes in circles.
MAX_STALE_PAGES = 3
#: A list that goes on after twice its total and so many pages more has no end.
MORE_PAGES = 10


def advance(
    work: Work, response: httpx.Response, before: Checkpoint, ids: list[str]
) -> tuple[Checkpoint, httpx.Request | None]:
    """The checkpoint after a page, and the request for the next one, if there is one."""
    after = before.after(ids, total_of(work.source, response))
    if not ids:
        return after.ended(), None
    if (stopped := _endless(work.source, before, after)) is not None:
        return after.ended(stopped), None
    request = next_request(work.source, response, after.page)
    if request is None:
        return after.ended(), None
    if (stopped := _too_long(work.source, after)) is not None:
        return after.ended(stopped), None
    url = str(work.api.join(request).url)
    is_told_by_address = not request.read() and set(request.headers) <= {"host"}
    return replace(after, next_url=url if is_told_by_address else None, next_method=request.method), request


def _endless(source: ImportSource, before: Checkpoint, after: Checkpoint) -> str | None:
    """Why a page that has items shows that the list has no end; None where it does not."""
    total = after.total
    if after.fingerprint == before.fingerprint and not before.moves(total):
        return f"the list repeats itself: page {after.page} has the same items as the page before it"
    if total is not None and after.seen > 2 * total + MORE_PAGES * source.per_page:
        return f"the list goes on after {after.seen} items, although it says that it has {total}"
    return None


def _too_long(source: ImportSource, after: Checkpoint) -> str | None:
    """Why no further page is asked for, although there is one; None where it is.

    A total that stays ends the list by its number of items, however many pages it needs.
    """
    if after.page < source.max_pages or not (after.total is None or after.shifted):
        return None
    setting = f"{variable_prefix(source.name)}MAX_PAGES"
    return f"the list goes on after {after.page:,} pages; if that is right for this API, raise {setting}"


def settle(connection: Connection, work: Work, stored: Checkpoint, *, new: int, found: int) -> Checkpoint:
    """Decide whether the list goes in circles, and at the end of a pass whether it stood still.

    `new` of the `found` items of the page had not been seen before. Corrects the number of items at the end.
    """
    after = replace(stored, stale=0)
    if after.passes == 1 and new < found:
        after = replace(after, repeated=True, stale=0 if new else stored.stale + 1)
        if after.stale >= MAX_STALE_PAGES and not after.complete:
            stopped = f"the list repeats itself: the {after.stale} pages up to {after.page} have no new items"
            after = after.ended(stopped)
    count = item_rows.count(connection, work.row.id) if after.complete else None
    if count is not None and _must_read_again(work, after, count):
        sound = after.sound or not after.shrunk
        after = Checkpoint(passes=after.passes + 1, total=after.total, digest_before=after.digest, sound=sound)
        count = None
    elif after.complete and not after.stopped and work.option.get("limit") is None:
        after = replace(after, stopped=_unrest(work, after))
    corrected = {} if count is None else {"items_count": count}
    if corrected or after != stored:
        write(connection, work.lease, work.clock.now(), checkpoint=after.dump(), **corrected)
    return after


def _must_read_again(work: Work, after: Checkpoint, count: int) -> bool:
    """Whether items may have slid past us: the total moved while we paged, or the pages held fewer than it says.

    A list that tells no total tells only by items that come twice.
    """
    if after.stopped or work.option.get("limit") is not None or after.passes >= MAX_PASSES:
        return False
    return after.shifted or _differs(work, after) or (after.repeated if after.total is None else count < after.total)


def _differs(work: Work, after: Checkpoint) -> bool:
    """Whether a source that wants two readings that agree has not had them yet."""
    return work.source.read_twice and after.digest != after.digest_before


def _unrest(work: Work, after: Checkpoint) -> str | None:
    """Why the last reading of the list proves nothing; None where it does."""
    if _differs(work, after):
        return f"the list was another one each of the {after.passes} times that it was read"
    if after.shrunk and not after.sound:
        return f"items were taken out of the list each of the {after.passes} times that it was read"
    return None
