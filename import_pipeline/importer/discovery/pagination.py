"""The step after a list page: to the next page, to page one again, or to the end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import httpx
from sqlalchemy import Connection

from import_pipeline.contracts.hooks import label_of
from import_pipeline.contracts.paginators import ListCutShort
from import_pipeline.errors import HookFailed
from import_pipeline.importer.discovery.checkpoint import Checkpoint, fingerprint_of
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.discovery.next_page import counts_pages, following, overlooked
from import_pipeline.importer.discovery.stored_request import dump_request
from import_pipeline.importer.runtime.context import ImportContext
from import_pipeline.importer.user_code.hooks import hook_batches
from import_pipeline.rules.lists.page_status import PageVerdict
from import_pipeline.rules.lists.read_mark import ReadMark
from import_pipeline.rules.lists.slice_keys import LONGEST_KEY, is_key
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import events
from import_pipeline.tracking.lists.item_positions import note_positions
from import_pipeline.tracking.lists.list_pages import Discovered
from import_pipeline.tracking.lists.list_rows import IMPORT_LIST, ListRow
from import_pipeline.tracking.lists.owed_items import add_owed
from import_pipeline.tracking.lists.tombstones import mark_deleted

#: Readings of a list that changes while it is read, before the import ends as incomplete.
MAX_PASSES = 3
#: Parts of one slice; more come from an endless generator.
MOST_PARTS = 10_000
#: Pages in a row with items of earlier pages only: the list is cyclic.
MAX_STALE_PAGES = 3


@dataclass(frozen=True, kw_only=True)
class OpenList:
    """A list that an import reads: the hooks that read it, and the row that keeps its checkpoint."""

    context: ImportContext
    source_list: SourceList
    row: ListRow = IMPORT_LIST
    taken: Callable[[Checkpoint], int] = lambda before: before.seen  #: items so far, of those that `--limit` allows

    def room(self, before: Checkpoint) -> int | None:
        """Return the number of items that the import may still take from the list; None without a limit."""
        limit = self.context.options.limit
        return None if limit is None else limit - self.taken(before)


def next_page(
    opened: OpenList, response: httpx.Response, verdict: PageVerdict, before: Checkpoint, ids: list[str]
) -> tuple[Checkpoint, httpx.Request | None]:
    """Return the checkpoint after a page, and the request for the next one, if there is one.

    The source's continuation decides, not the number of items: a page without items may name a next one.
    """
    context, of_list = opened.context, opened.source_list
    if verdict is PageVerdict.UNCHANGED:
        return replace(before.after([], None, request=_fingerprint(response.request)).ended(), is_unchanged=True), None
    is_absent = verdict in {PageVerdict.ABSENT, PageVerdict.END}
    # Beyond its end, a list may report a total of 0.
    total = before.total if is_absent or (before.page and not ids) else of_list.total(response)
    after = before.after(ids, total, request=_fingerprint(response.request), is_absent=is_absent)
    if (stopped := cap_reached(opened, after)) is not None:
        return after.capped(stopped), None
    if ids and after.fingerprint == before.fingerprint and not before.moves(total):
        repeats = f"the list repeats itself: page {after.page} has the same items as the previous page"
        return after.ended(repeats), None
    if verdict is PageVerdict.END:
        return after.ended(), None
    try:
        request = following(context, of_list, response, after)
    except ListCutShort as error:
        return after.ended(f"page {after.page}: {error}"), None
    if request is None:
        return after.ended(overlooked(of_list, response, after, ids)), None
    if after.empty >= context.source.max_empty_pages:
        return after.ended(_too_empty(of_list, after)), None
    if (stopped := _too_long(of_list, after)) is not None:
        return after.ended(stopped), None
    if context.source.incremental is not None and counts_pages(of_list, response.request, request, after):
        after = replace(after, mark=replace(after.mark, is_counted=True))
    return replace(after, next_request=dump_request(request, context.api.secrets, context.api.client.base_url)), request


def cap_reached(opened: OpenList, after: Checkpoint, *, ahead: int = 0) -> str | None:
    """Return why a list that has as many items as the API gives of any counts as incomplete; None if it has fewer.

    `ahead`: items of the page that the API has refused. A total beyond the cap shows it at once for a slice that can be
    split; another list is read as far as it is given.
    """
    source, of_list = opened.context.source, opened.source_list
    most = source.max_results
    if most is None or opened.context.options.limit is not None:
        return None
    is_parted = of_list.key is not None and source.is_splitting
    if not (after.seen + ahead > most or after.seen == most or (is_parted and (after.total or 0) > most)):
        return None
    advice = "return smaller ones by `split`" if of_list.key is not None else "divide it into `slices`"
    return f"the API gives {most:,} items of a list (max_results), and this one may have more: {advice}"


def parts_of(of_list: SourceList) -> list[str]:
    """Return the keys of the smaller slices to read in place of this one; none if it is not split.

    Raises HookFailed.
    """
    source, found = of_list.source, list[str]()
    if of_list.key is None or not source.is_splitting:
        return found
    expected = f"texts of 1 to {LONGEST_KEY} characters"
    for keys in hook_batches(source, "split", of_list.key, is_good=is_key, expected=expected, size=MOST_PARTS + 1):
        found += keys
        if len(found) > MOST_PARTS:
            raise HookFailed(label_of(source, "split"), f"yields more than {MOST_PARTS:,} keys")
    return found


def _fingerprint(request: httpx.Request) -> str:
    """Return the fingerprint of a sent request, without its headers, which are equal on each page."""
    return fingerprint_of(f"{request.method} {request.url} {request.content.hex()}")


def _too_empty(of_list: SourceList, after: Checkpoint) -> str | None:
    """Return why a list of empty pages ends; None if its pages are numbered and its total is reached.

    A cursor states that more items follow, and a total may be capped.
    """
    if of_list.is_numbered and after.total is not None and after.seen == after.total:
        return None
    return f"the list continues, but its {after.empty} pages up to page {after.page} have no items"


def _too_long(of_list: SourceList, after: Checkpoint) -> str | None:
    """Return why no further page is requested although there is one; None if one is requested.

    A constant total ends the list by its number of items, on any number of pages.
    """
    is_bounded = after.total is not None and not after.shifted and not after.is_refuted
    if after.page < of_list.source.max_pages or is_bounded:
        return None
    setting = f"{variable_prefix(of_list.source.name)}MAX_PAGES"
    return f"the list continues after {after.page:,} pages; if that is right for this API, raise {setting}"


def check_pass(connection: Connection, opened: OpenList, stored: Checkpoint, *, new: int, found: int) -> Checkpoint:
    """End a cyclic list. At the end of a pass, start another one if the list has changed meanwhile.

    `new` of the `found` items of the page are new to the list. At the end, the number of items is corrected.
    """
    context = opened.context
    after = _note_short(connection, opened, _stale(stored, new=new, found=found), found)
    if not after.complete and (stopped := _cycle(after, found)) is not None:
        after = after.ended(stopped)
    count = opened.row.count(connection, context.row.id) if after.complete else None
    if count is not None and _must_read_again(opened, after, count):
        after, count = after.next_pass(has_skipped=_may_have_skipped(opened, after)), None
    elif after.complete and not after.stopped and context.options.limit is None:
        after = replace(after, stopped=_instability(context, after), mark=_settled_mark(opened, after))
    if count is not None and opened.source_list.key is None and context.row.facts.bookmark_revision is not None:
        owed = add_owed(connection, context.row)
        after, count = replace(after, owed=after.owed + owed), count + owed
    if count is not None or after != stored:
        opened.row.settle(connection, context.lease, context.clock.now(), after.dump(), count)
    return after


def _stale(after: Checkpoint, *, new: int, found: int) -> Checkpoint:
    """Count the pages in a row without a new item; an empty page does not count."""
    if not found:
        return after
    is_stale = not new if after.shows_new else after.is_page_again
    repeated = after.repeated or (after.shows_new and new < found)
    return replace(after, repeated=repeated, stale=after.stale + 1 if is_stale else 0)


def _cycle(after: Checkpoint, found: int) -> str | None:
    """Return why the list counts as cyclic; None if it does not.

    A repeated request alone proves nothing: some APIs move a cursor that keeps its name.
    """
    if after.is_request_again and (after.stale or not found):
        return f"the list repeats itself: page {after.page} was requested before, and has no new items"
    if after.stale >= MAX_STALE_PAGES:
        return f"the list repeats itself: the {after.stale} pages up to {after.page} have no new items"
    return None


def _note_short(connection: Connection, opened: OpenList, after: Checkpoint, found: int) -> Checkpoint:
    """Note once that a page of a numbered list is shorter than requested, and not the last."""
    context, asked = opened.context, opened.context.source.per_page
    if after.is_short or after.complete or not 0 < found < asked or not opened.source_list.is_numbered:
        return after
    sentence = (
        f"Page {after.page} of the list has {found} items instead of the requested {asked}, and is not the last: "
        f"the API may return at most {found} per page."
    )
    events.note(connection, context.row.id, context.clock.now(), "list_page_short", sentence, items=found, asked=asked)
    return replace(after, is_short=True)


def _may_have_skipped(opened: OpenList, after: Checkpoint) -> bool:
    """Return True if an item moved in this pass, so that others may have slid onto pages that were read already.

    In a list that is newest first they slide the other way, and come twice.
    """
    return after.mark.is_shifting and opened.source_list.may_skip and after.mark.order != "newest_first"


def _settled_mark(opened: OpenList, after: Checkpoint) -> ReadMark:
    """Return the mark at the end of the last pass; it allows no bookmark if that may have skipped items."""
    if not _may_have_skipped(opened, after):
        return after.mark
    return replace(after.mark, refused=f"items moved in the list during each of its {after.passes} readings")


def _must_read_again(opened: OpenList, after: Checkpoint, count: int) -> bool:
    """Return True if items may have been missed: the total changed during paging, or exceeds the items on the pages.

    A list without a total, or with a total that its own items exceed, shows this only by repeated items.
    """
    context = opened.context
    if after.stopped or context.options.limit is not None or after.passes >= MAX_PASSES:
        return False
    if after.shifted or _differs(context, after) or _may_have_skipped(opened, after):
        return True
    has_no_total = after.total is None or after.is_refuted
    if has_no_total:
        return after.repeated and not _is_inclusive(opened, after)
    return count + after.rowless < (after.total or 0)


def _is_inclusive(opened: OpenList, after: Checkpoint) -> bool:
    """Return True if pages may begin with the last items of the page before: repeated items show no change then.

    Pages in the order of positions, oldest first, that follow a cursor: what moved comes again at another position.
    """
    is_by_cursor = not opened.source_list.may_skip
    is_own = opened.context.source.pages is None and not opened.source_list.is_numbered
    return after.mark.order == "oldest_first" and (is_by_cursor or is_own)


def _differs(context: ImportContext, after: Checkpoint) -> bool:
    """Return True if the source requires two equal readings and has not had them yet."""
    return context.source.read_twice and after.digest != after.digest_before


def _instability(context: ImportContext, after: Checkpoint) -> str | None:
    """Return why the last reading of the list is unreliable; None if it is reliable."""
    if _differs(context, after):
        return f"the list differed in each of its {after.passes} readings"
    if after.shrunk and not after.sound:
        return f"items were removed from the list during each of its {after.passes} readings"
    return None


def note_changes(
    connection: Connection,
    opened: OpenList,
    found: list[Discovered],
    after: Checkpoint,
    now: datetime,
    *,
    has_moved: bool,
) -> Checkpoint:
    """Store the tombstones and positions of a page. Return the checkpoint with what they show, stored if it differs.

    `has_moved`: an item of the page was deleted or restored since the list has shown it.
    """
    row, lease = opened.context.row, opened.context.lease
    deleted = mark_deleted(connection, row, [item.external_id for item in found if item.is_deleted], now)
    placed = {item.external_id: item.position for item in found if item.position is not None and not item.is_deleted}
    again = note_positions(connection, row, placed, after.passes)
    if not deleted and not again.positions and not has_moved:
        return after
    mark = after.mark.met_again(again.positions, is_shifting=again.is_shifting or has_moved)
    noted = replace(after, mark=mark, deleted=after.deleted + deleted)
    opened.row.settle(connection, lease, now, noted.dump())
    return noted
