"""The step after a list page: to the next page, to page one again, or to the end."""

from dataclasses import replace

import httpx
from sqlalchemy import Connection

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.paginators import ListCutShort
from import_pipeline.importer.discovery.checkpoint import Checkpoint, fingerprint_of
from import_pipeline.importer.discovery.list_page import total_of
from import_pipeline.importer.discovery.next_page import following, is_numbered, overlooked
from import_pipeline.importer.discovery.stored_request import dump_request
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.rules.lists.page_status import PageVerdict, judge_page
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events
from import_pipeline.tracking import items as item_rows
from import_pipeline.tracking.leases import write

#: How often the list is read again when it shifts under our hands, before the import ends as incomplete.
MAX_PASSES = 3
#: So many pages in a row with nothing but items of earlier pages: the list goes in circles.
MAX_STALE_PAGES = 3


def next_page(
    work: ImportContext, response: httpx.Response, before: Checkpoint, ids: list[str]
) -> tuple[Checkpoint, httpx.Request | None]:
    """Return the checkpoint after a page, and the request for the next one, if there is one.

    The source's continuation decides, not the number of items: a page without items may name a next one.
    """
    is_absent = judge_page(response.status_code, setting="")[0] is PageVerdict.ABSENT
    # Beyond the end of a list, its total may be told as 0.
    total = before.total if is_absent or (before.page and not ids) else total_of(work.source, response)
    after = before.after(ids, total, request=_print(response.request), is_absent=is_absent)
    if ids and after.fingerprint == before.fingerprint and not before.moves(total):
        repeats = f"the list repeats itself: page {after.page} has the same items as the page before it"
        return after.ended(repeats), None
    try:
        request = following(work, response, after)
    except ListCutShort as error:
        return after.ended(f"page {after.page}: {error}"), None
    if request is None:
        return after.ended(overlooked(work, response, after, ids)), None
    if after.empty >= work.source.max_empty_pages:
        return after.ended(_emptied(work.source, after)), None
    if (stopped := _too_long(work.source, after)) is not None:
        return after.ended(stopped), None
    return replace(after, next_request=dump_request(request, work.api.secrets)), request


def _print(request: httpx.Request) -> str:
    """The fingerprint of a request as it was sent, but for its headers: they are the same on each page."""
    return fingerprint_of(f"{request.method} {request.url} {request.content.hex()}")


def _emptied(source: ImportSource, after: Checkpoint) -> str | None:
    """Why a list of empty pages is given up; None if its pages are numbered, and all that it counts were met.

    A cursor is the API's own word that there is more, and its total may be capped.
    """
    if is_numbered(source) and after.total is not None and after.seen == after.total:
        return None
    return f"the list goes on, but its {after.empty} pages up to page {after.page} have no items"


def _too_long(source: ImportSource, after: Checkpoint) -> str | None:
    """Why no further page is asked for, although there is one; None where it is.

    A total that stays ends the list by its number of items, however many pages it needs.
    """
    is_bounded = after.total is not None and not after.shifted and not after.is_refuted
    if after.page < source.max_pages or is_bounded:
        return None
    setting = f"{variable_prefix(source.name)}MAX_PAGES"
    return f"the list goes on after {after.page:,} pages; if that is right for this API, raise {setting}"


def check_pass(connection: Connection, work: ImportContext, stored: Checkpoint, *, new: int, found: int) -> Checkpoint:
    """Decide whether the list goes in circles, and at the end of a pass whether it stood still.

    `new` of the `found` items of the page had not been seen before. Corrects the number of items at the end.
    """
    after = _note_short(connection, work, _stale(stored, new=new, found=found), found)
    if not after.complete and (stopped := _circle(after, found)) is not None:
        after = after.ended(stopped)
    count = item_rows.count(connection, work.row.id) if after.complete else None
    if count is not None and _must_read_again(work, after, count):
        after, count = after.next_pass(), None
    elif after.complete and not after.stopped and work.options.limit is None:
        after = replace(after, stopped=_instability(work, after))
    corrected = {} if count is None else {"items_count": count}
    if corrected or after != stored:
        write(connection, work.lease, work.clock.now(), checkpoint=after.dump(), **corrected)
    return after


def _stale(after: Checkpoint, *, new: int, found: int) -> Checkpoint:
    """Count the pages in a row that brought nothing new; an empty page tells nothing of it."""
    if not found:
        return after
    is_stale = not new if after.tells_new else after.is_page_again
    repeated = after.repeated or (after.tells_new and new < found)
    return replace(after, repeated=repeated, stale=after.stale + 1 if is_stale else 0)


def _circle(after: Checkpoint, found: int) -> str | None:
    """Why the list is taken to go in circles; None if it is not.

    A request that is repeated word for word is no sign by itself: some APIs move a cursor that keeps its name.
    """
    if after.is_request_again and (after.stale or not found):
        return f"the list repeats itself: page {after.page} was asked for before, and has no new items"
    if after.stale >= MAX_STALE_PAGES:
        return f"the list repeats itself: the {after.stale} pages up to {after.page} have no new items"
    return None


def _note_short(connection: Connection, work: ImportContext, after: Checkpoint, found: int) -> Checkpoint:
    """Say once that a page of a numbered list is shorter than asked for, and not the last."""
    asked = work.source.per_page
    if after.is_short or after.complete or not 0 < found < asked or not is_numbered(work.source):
        return after
    sentence = (
        f"Page {after.page} of the list has {found} items, although {asked} were asked for, and is not the last: "
        f"the API may give no more than {found} a page."
    )
    events.note(connection, work.row.id, work.clock.now(), "list_page_short", sentence, items=found, asked=asked)
    return replace(after, is_short=True)


def _must_read_again(work: ImportContext, after: Checkpoint, count: int) -> bool:
    """Whether items may have slid past us: the total moved while we paged, or the pages held fewer than it says.

    A list that tells no total, or one that it refutes itself, tells only by items that come twice.
    """
    if after.stopped or work.options.limit is not None or after.passes >= MAX_PASSES:
        return False
    is_uncounted = after.total is None or after.is_refuted
    return after.shifted or _differs(work, after) or (after.repeated if is_uncounted else count < (after.total or 0))


def _differs(work: ImportContext, after: Checkpoint) -> bool:
    """Whether a source that wants two readings that agree has not had them yet."""
    return work.source.read_twice and after.digest != after.digest_before


def _instability(work: ImportContext, after: Checkpoint) -> str | None:
    """Why the last reading of the list proves nothing; None where it does."""
    if _differs(work, after):
        return f"the list was another one each of the {after.passes} times that it was read"
    if after.shrunk and not after.sound:
        return f"items were taken out of the list each of the {after.passes} times that it was read"
    return None
