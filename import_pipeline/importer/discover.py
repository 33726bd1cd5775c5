"""Phase one: page through the list, one page after another, and store stubs and item rows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
from sqlalchemy import Connection

from import_pipeline.contracts import Importable, ImportSource
from import_pipeline.errors import ApiBlocked, ContractError, ImportFailed, LimiterUnavailable
from import_pipeline.importer.outage import ask, describe
from import_pipeline.importer.quoting import reading
from import_pipeline.importer.work import StoredItem, Work
from import_pipeline.ratelimit import BodyRefused
from import_pipeline.redaction import meet_text, redact
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.outcome import Verdict, judge
from import_pipeline.settings import variable_prefix
from import_pipeline.tracking import items as item_rows
from import_pipeline.tracking import numbers, pages
from import_pipeline.tracking.leases import write
from import_pipeline.tracking.pages import Discovered, Page

#: How often the list is read again when it shifts under our hands, before the import ends as incomplete.
MAX_PASSES = 3
#: So many pages in a row with nothing but items of earlier pages: the list goes in circles.
MAX_STALE_PAGES = 3
#: A list that goes on after twice its total and so many pages more has no end.
MORE_PAGES = 10
#: What a source's own code raises when a payload is not what it expected.
BAD_PAYLOAD = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    httpx.InvalidURL,
)
MAX_EXTERNAL_ID = 255


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where discovery stands after a page; stored with that page."""

    page: int = 0
    passes: int = 1
    next_url: str | None = None  #: None: page one, no further page, or one that its address alone does not tell
    next_method: str = "GET"
    fingerprint: str = ""  #: of the last page's ids
    digest: str = ""  #: of all pages of this pass
    digest_before: str = ""  #: of the pass before
    total: int | None = None
    seen: int = 0  #: items on the pages of this pass
    shifted: bool = False  #: the total changed during this pass
    shrunk: bool = False  #: the total fell during this pass: items may have slid onto pages that were read already
    sound: bool = False  #: in a pass before it did not
    repeated: bool = False  #: an item came twice in the first pass
    stale: int = 0  #: pages in a row without a new item, in the first pass
    stopped: str | None = None  #: why discovery ended before the list did
    complete: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "Checkpoint":
        """The checkpoint as stored; a new one where there is none, or none that can be gone on from."""
        checkpoint = cls(**stored) if stored else cls()
        lost = checkpoint.next_url is None and not checkpoint.complete
        # What was read before would look as if it came twice, so it counts as another pass.
        return cls(passes=checkpoint.passes + (checkpoint.page > 0)) if lost else checkpoint

    def dump(self) -> dict[str, Any]:
        """As stored: without an address that holds a secret, at the price of reading the list anew after a crash."""
        secret = self.next_url is not None and redact(self.next_url) != self.next_url
        return vars(self) | ({"next_url": None} if secret else {})


async def discover(work: Work) -> None:
    """Read the list from the checkpoint to its end. What makes that impossible asks the whole work to stop."""
    try:
        await _discover(work)
    except (ApiBlocked, ContractError, ImportFailed, LimiterUnavailable) as error:
        work.stop.ask(error)


async def _discover(work: Work) -> None:
    checkpoint = Checkpoint.read(work.row.checkpoint)
    request = None if checkpoint.next_url is None else httpx.Request(checkpoint.next_method, checkpoint.next_url)
    while not checkpoint.complete and not work.stop.asked.is_set():
        if request is None:
            request = work.source.list_request(1, work.source.per_page)
        response = await _fetch(work, request, checkpoint.page + 1)
        with reading(response):
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
            problem = _unreadable(work, response) if judgement.verdict is Verdict.READ else judgement.reason
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


def refused(work: Work, error: BodyRefused) -> str:
    """Why a body was not read, and what would let it pass."""
    setting, source = f"{variable_prefix(work.source.name)}MAX_BODY", type(work.source).__name__
    return f"{error}. If that is right for this API, raise {setting} or {source}.max_depth"


def _unreadable(work: Work, response: httpx.Response) -> str | None:
    try:
        with reading(response):
            for _ in work.source.items(response):
                pass
            if type(work.source).next_request is ImportSource.next_request:  # else nobody asks it
                work.source.has_next_page(response)
    except BAD_PAYLOAD as error:
        return f"its body is not what {work.source.name}.items expects: {type(error).__name__}: {error}"
    return None


async def _store(work: Work, response: httpx.Response, before: Checkpoint) -> tuple[Checkpoint, httpx.Request | None]:
    """Store a page with the checkpoint after it, in one transaction. Returns that and the next request."""
    found = [_discovered(work, item, f"page {before.page + 1}, item {n}") for n, item in _numbered(work, response)]
    limit = work.option.get("limit")
    after, request = _advance(work, response, before, [item.external_id for item in found])
    if limit is not None and before.seen + len(found) >= limit:
        found = found[: limit - before.seen]
        after = replace(after, complete=True, next_url=None, seen=limit, total=None)

    def store(connection: Connection) -> Checkpoint:
        page = Page(items=found, checkpoint=after.dump(), total=after.total)
        sent = work.uncounted.take(connection)
        new = pages.store_page(connection, work.row, work.lease, work.source.model, page, work.clock.now(), sent)
        if work.source.partitions.size is not None:
            numbers.number(connection, work.source.name, [item.external_id for item in found])
        return _settle(connection, work, after, new=new, found=len({item.external_id for item in found}))

    settled = await work.write(store)
    await work.aside(lambda: _tell(work, found))
    return settled, (request if settled.page else None)


def _tell(work: Work, found: list[Discovered]) -> None:
    readable = [item for item in found if item.importable is not None]
    work.listener.page_stored([item.external_id for item in readable])
    work.listener.items_stored([StoredItem(external_id=item.external_id) for item in readable if item.whole])


def _numbered(work: Work, response: httpx.Response) -> list[tuple[int, Any]]:
    return list(enumerate(work.source.items(response), start=1))


def _settle(connection: Connection, work: Work, stored: Checkpoint, *, new: int, found: int) -> Checkpoint:
    """Decide whether the list goes in circles, and at the end of a pass whether it stood still.

    `new` of the `found` items of the page had not been seen before. Corrects the number of items at the end.
    """
    after = replace(stored, stale=0)
    if after.passes == 1 and new < found:
        after = replace(after, repeated=True, stale=0 if new else stored.stale + 1)
        if after.stale >= MAX_STALE_PAGES and not after.complete:
            stopped = f"the list repeats itself: the {after.stale} pages up to {after.page} have no new items"
            after = replace(after, complete=True, next_url=None, stopped=stopped)
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


def _advance(
    work: Work, response: httpx.Response, before: Checkpoint, ids: list[str]
) -> tuple[Checkpoint, httpx.Request | None]:
    """The checkpoint after a page, and the request for the next one, if there is one."""
    fingerprint = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    total = _total(work, response)
    moved = before.page > 0 and total != before.total
    fell = moved and total is not None and before.total is not None and total < before.total
    after = replace(
        before,
        page=before.page + 1,
        fingerprint=fingerprint,
        digest=hashlib.sha256((before.digest + fingerprint).encode()).hexdigest()[:16],
        total=total,
        seen=before.seen + len(ids),
        shifted=before.shifted or moved,
        shrunk=before.shrunk or fell,
    )
    if not ids:
        return replace(after, complete=True, next_url=None), None
    if fingerprint == before.fingerprint and not moved:
        stopped = f"the list repeats itself: page {after.page} has the same items as the page before it"
        return replace(after, complete=True, next_url=None, stopped=stopped), None
    if total is not None and after.seen > 2 * total + MORE_PAGES * work.source.per_page:
        stopped = f"the list goes on after {after.seen} items, although it says that it has {total}"
        return replace(after, complete=True, next_url=None, stopped=stopped), None
    try:
        request = work.source.next_request(response, after.page)
    except BAD_PAYLOAD as error:
        got = f"{type(error).__name__}: {error}"
        raise ContractError(work.source.name, "next_request", "a request, or None", got) from error
    if request is None:
        return replace(after, complete=True, next_url=None), None
    # A total that stays ends the list by the rule above, however many pages it needs.
    if after.page >= work.source.max_pages and (total is None or after.shifted):
        setting = f"{variable_prefix(work.source.name)}MAX_PAGES"
        stopped = f"the list goes on after {after.page:,} pages; if that is right for this API, raise {setting}"
        return replace(after, complete=True, next_url=None, stopped=stopped), None
    url = str(work.api.join(request).url)
    is_told_by_address = not request.read() and set(request.headers) <= {"host"}
    return replace(after, next_url=url if is_told_by_address else None, next_method=request.method), request


def _total(work: Work, response: httpx.Response) -> int | None:
    try:
        total = work.source.total(response)
    except BAD_PAYLOAD as error:
        got = f"{type(error).__name__}: {error}"
        raise ContractError(work.source.name, "total", "a whole number from 0, or None", got) from error
    if total is not None and (not isinstance(total, int) or total < 0):
        raise ContractError(work.source.name, "total", "a whole number from 0, or None", repr(total))
    return total


def _discovered(work: Work, item: Any, place: str) -> Discovered:
    """The source's reading of one list item; what it cannot read becomes a failed item instead of being lost."""
    name = work.source.name
    try:
        importable: Importable = work.source.stub(item)
        version = work.source.version(item)
    except BAD_PAYLOAD as error:
        meet_text(repr(item))
        problem = f"{name}.stub rejects the list item: {type(error).__name__}: {error}"
        return Discovered(external_id=f"({place})", importable=None, problem=problem)
    if not isinstance(importable, work.source.model):
        raise ContractError(name, "stub", f"a {work.source.model.__name__}", type(importable).__name__)
    external_id = "" if importable.external_id is None else str(importable.external_id)
    if not 0 < len(external_id) <= MAX_EXTERNAL_ID or not _is_storable(external_id):
        problem = f"{name}.stub: expected an external_id of 1 to {MAX_EXTERNAL_ID} characters, got {external_id[:40]!r}"
        return Discovered(external_id=f"({place})", importable=None, problem=problem)
    try:
        whole = importable.detail_request() is None
    except BAD_PAYLOAD as error:
        problem = f"{type(importable).__name__}.detail_request fails: {type(error).__name__}: {error}"
        return Discovered(external_id=external_id, importable=None, problem=problem)
    return Discovered(
        external_id=external_id,
        importable=importable,
        version=None if version is None else str(version),
        whole=whole,
    )


def _is_storable(text: str) -> bool:
    """Whether every database takes the text: no zero byte, no half of a surrogate pair."""
    return "\0" not in text and text.encode(errors="replace").decode() == text
