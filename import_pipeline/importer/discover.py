"""Phase one: page through the list, one page after another, and store stubs and item rows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from import_pipeline.contracts import Importable
from import_pipeline.errors import ContractError, ImportFailed
from import_pipeline.importer.work import Work
from import_pipeline.ratelimit.redaction import redact
from import_pipeline.rules.backoff import retry_delay
from import_pipeline.rules.outcome import Verdict, judge
from import_pipeline.tracking import items as item_rows
from import_pipeline.tracking import pages
from import_pipeline.tracking.imports import write
from import_pipeline.tracking.pages import Discovered, Page

#: How often the list is read again when it shifts under our hands, before the import ends as incomplete.
MAX_PASSES = 3
#: What a source's own code raises when a payload is not what it expected.
BAD_PAYLOAD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
MAX_EXTERNAL_ID = 255


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where discovery stands after a page; stored with that page."""

    page: int = 0
    passes: int = 1
    next_url: str | None = None  #: None: page one, or no further page
    next_method: str = "GET"
    fingerprint: str = ""  #: of the last page's ids
    total: int | None = None
    seen: int = 0  #: items on the pages of this pass
    shifted: bool = False  #: the total changed during this pass, or an item came twice
    stopped: str | None = None  #: why discovery ended before the list did
    complete: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "Checkpoint":
        """The checkpoint as stored; a new one where there is none, or none that can be gone on from."""
        checkpoint = cls(**stored) if stored else cls()
        lost = checkpoint.next_url is None and not checkpoint.complete
        return cls(passes=checkpoint.passes) if lost else checkpoint

    def dump(self) -> dict[str, Any]:
        """As stored: without an address that holds a secret, at the price of reading the list anew after a crash."""
        secret = self.next_url is not None and redact(self.next_url) != self.next_url
        return vars(self) | ({"next_url": None} if secret else {})


async def discover(work: Work) -> None:
    """Read the list from the checkpoint to its end. Raises ImportFailed or ContractError."""
    checkpoint = Checkpoint.read(work.row.checkpoint)
    while not checkpoint.complete and not work.stopping.is_set():
        request = _request_at(work, checkpoint)
        response = await _fetch(work, request, checkpoint.page + 1)
        checkpoint = await _store(work, response, checkpoint)
        work.stirred.set()
    work.discovered = checkpoint.complete
    work.stirred.set()


def _request_at(work: Work, checkpoint: Checkpoint) -> httpx.Request:
    if checkpoint.next_url is None:
        return work.source.list_request(1, work.source.per_page)
    return httpx.Request(checkpoint.next_method, checkpoint.next_url)


async def _fetch(work: Work, request: httpx.Request, page: int) -> httpx.Response:
    """The page's answer; tried as often as the source's retry allows. Raises ImportFailed."""
    failures = 0
    while True:
        reason = ""
        try:
            response = await work.api.send(request, first=True)
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and work.api.tally.answers == 0:
                raise ImportFailed(unreachable(work, error)) from error
            reason = describe(error, work.source.timeout)
        else:
            judgement = judge(response.status_code)
            if judgement.verdict is Verdict.READ and (problem := _unreadable(work, response)) is None:
                return response
            reason = judgement.reason or f"its body is not what {work.source.name}.items expects: {problem}"
            if judgement.verdict in {Verdict.STOP, Verdict.REJECT}:
                raise ImportFailed(f"list page {page}: {reason}")
        failures += 1
        if failures >= work.source.retry.tries:
            raise ImportFailed(f"list page {page}: {reason}, {failures} times")
        await work.clock.sleep(retry_delay(failures, work.source.retry.backoff, work.chance()).total_seconds())


def unreachable(work: Work, error: httpx.TransportError) -> str:
    """The sentence for an API that has never answered."""
    base = redact(str(work.api.client.base_url))
    what = redact(str(error)) or type(error).__name__
    return f"the API at {base} cannot be reached: {what}. Check its address and that it runs"


def describe(error: httpx.TransportError, timeout: float) -> str:
    """A request's failure in words, without secrets."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return f"no answer within {timeout:g} s"
    return redact(str(error)) or type(error).__name__


def _unreadable(work: Work, response: httpx.Response) -> str | None:
    try:
        for _ in work.source.items(response):
            pass
        work.source.has_next_page(response)
    except BAD_PAYLOAD as error:
        return f"{type(error).__name__}: {error}"
    return None


async def _store(work: Work, response: httpx.Response, before: Checkpoint) -> Checkpoint:
    """Store a page with the checkpoint after it, in one transaction."""
    found = [_discovered(work, item, f"page {before.page + 1}, item {n}") for n, item in _numbered(work, response)]
    limit = work.option.get("limit")
    after = _advance(work, response, before, [item.external_id for item in found])
    if limit is not None and before.seen + len(found) >= limit:
        found = found[: limit - before.seen]
        after = replace(after, complete=True, next_url=None, seen=limit, total=None)
    page = Page(items=found, checkpoint=after.dump(), total=after.total)
    new = await work.write(pages.store_page, work.row, work.lease, work.source.model, page, work.clock.now())
    await work.aside(lambda: _tell(work, found))
    return await _settle(work, before, after, new)


def _tell(work: Work, found: list[Discovered]) -> None:
    readable = [item for item in found if item.importable is not None]
    work.listener.page_stored([item.external_id for item in readable])
    work.listener.items_stored([item.external_id for item in readable if item.whole])


def _numbered(work: Work, response: httpx.Response) -> list[tuple[int, Any]]:
    return list(enumerate(work.source.items(response), start=1))


async def _settle(work: Work, before: Checkpoint, after: Checkpoint, new: int) -> Checkpoint:
    """Decide at the end of a pass whether the list stood still; correct the number of items when it did."""
    if after.complete and _must_read_again(work, before, after):
        after = Checkpoint(passes=after.passes + 1, total=after.total)
        await work.write(_save, work, after)
    elif after.complete:
        await work.write(_save_count, work, after)
    return after


def _must_read_again(work: Work, before: Checkpoint, after: Checkpoint) -> bool:
    """Whether items may have slid past us: the total moved while we paged, or the pages held fewer than it says."""
    if after.stopped or work.option.get("limit") is not None or after.passes >= MAX_PASSES:
        return False
    return after.shifted or (after.total is not None and after.seen < after.total)


def _save(connection: Any, work: Work, checkpoint: Checkpoint) -> None:
    write(connection, work.lease, work.clock.now(), checkpoint=checkpoint.dump())


def _save_count(connection: Any, work: Work, checkpoint: Checkpoint) -> None:
    count = item_rows.count(connection, work.row.id)
    write(connection, work.lease, work.clock.now(), items_count=count, checkpoint=checkpoint.dump())


def _advance(work: Work, response: httpx.Response, before: Checkpoint, ids: list[str]) -> Checkpoint:
    """The checkpoint after a page: where the next one is, or that there is none."""
    fingerprint = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    total = _total(work, response)
    moved = before.page > 0 and total != before.total
    after = replace(
        before,
        page=before.page + 1,
        fingerprint=fingerprint,
        total=total,
        seen=before.seen + len(ids),
        shifted=before.shifted or moved,
    )
    if not ids:
        return replace(after, complete=True, next_url=None)
    if fingerprint == before.fingerprint and not moved:
        stopped = f"the list repeats itself: page {after.page} has the same items as the page before it"
        return replace(after, complete=True, next_url=None, stopped=stopped)
    request = work.source.next_request(response, after.page)
    if request is None:
        return replace(after, complete=True, next_url=None)
    url = str(work.api.join(request).url)
    return replace(after, next_url=url, next_method=request.method)


def _total(work: Work, response: httpx.Response) -> int | None:
    total = work.source.total(response)
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
        problem = f"{name}.stub rejects the list item: {type(error).__name__}: {error}"
        return Discovered(external_id=f"({place})", importable=None, problem=problem)
    if not isinstance(importable, work.source.model):
        raise ContractError(name, "stub", f"a {work.source.model.__name__}", type(importable).__name__)
    external_id = "" if importable.external_id is None else str(importable.external_id)
    if not 0 < len(external_id) <= MAX_EXTERNAL_ID:
        problem = f"{name}.stub: expected an external_id of 1 to {MAX_EXTERNAL_ID} characters, got {external_id[:40]!r}"
        return Discovered(external_id=f"({place})", importable=None, problem=problem)
    return Discovered(
        external_id=external_id,
        importable=importable,
        version=None if version is None else str(version),
        whole=importable.detail_request() is None,
    )
