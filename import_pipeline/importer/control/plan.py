"""Estimate the cost of an import before it starts: of a full one, or of what changed since the bookmark."""

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.paginators import ListCutShort
from import_pipeline.errors import ApiBlocked, ImportFailed
from import_pipeline.importer.bookmarks.beginning import next_reading, reading_source
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.runtime.api_client import cost_of, open_api
from import_pipeline.importer.runtime.sending import describe_connection_error, unreachable
from import_pipeline.importer.slices.first_slice import count_slices, first_list
from import_pipeline.importer.tokens.server import TokenUnavailable
from import_pipeline.importer.user_code.declared_paths import defines
from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.rules.endpoints import endpoint_of
from import_pipeline.rules.forecast import minimum_by_endpoint
from import_pipeline.rules.import_metadata import ImportOptions
from import_pipeline.rules.lists.positions import parse_position
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import imports
from import_pipeline.tracking.lists.owed_items import count_owed

#: Completed imports that are searched for one that read the whole list.
IMPORTS_SEARCHED = 50
#: Kinds of imports that do not read the whole list.
OTHERS = {ImportKind.SELECTION, ImportKind.INCREMENTAL}
#: The longest pause of the API that an estimate waits for.
MAX_PAUSE_WAIT = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cost of an import. Numbers are None if neither the list nor an earlier import gives the number of items.

    All details count, since unchanged items are known only after the list was read.
    """

    source: str
    limits: str
    items_count: int | None = None
    list_requests: int | None = None
    detail_requests: int | None = None
    requests_count: int | None = None
    ideal_seconds: float | None = None  #: the least seconds that the limits allow, from empty windows
    estimated_from: int | None = None  #: the import that gave the number of items; None: the list itself
    details_may_be_fewer: bool = False  #: True if the source can recognize unchanged items: some have a version
    total_advice: str | None = None  #: what would make the number of items known, if it is not
    slices_count: int | None = None  #: lists to read; None: the source has one
    kind: str = ImportKind.FULL.value  #: full or incremental
    since: str | None = None  #: the position that an incremental import reads from
    reason: str | None = None  #: why an import of an incremental source is full
    owed_count: int = 0  #: items of earlier imports that an incremental one fetches besides

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def plan_import(installation: Installation, source: ImportSource, *, full: bool = False) -> Plan:
    """Request one list page and compute the rest, for the kind of import that would begin now.

    `full`: for a full import, although there is a bookmark. Raises ImportFailed if the API does not answer as expected.
    """
    options = ImportOptions(full=full)
    plan = _without_cost(installation, source, options)
    source = reading_source(source, plan.since)
    of_list, slices = first_list(installation, source), count_slices(installation, source, options)
    plan = replace(plan, slices_count=slices)
    if of_list is None or (not slices and slices is not None):
        return _without_slices(plan)
    response = asyncio.run(first_page(installation, of_list))
    if (problem := of_list.first_page_problem(response)) is not None:
        raise ImportFailed(problem)
    on_page = of_list.items(response)
    total = _total(of_list, response, len(on_page)) if slices in {None, 1} else None
    if total is None:
        estimated_from, total = _latest_of_kind(installation, source)
        plan = replace(plan, estimated_from=estimated_from)
    if total is None:
        return replace(plan, total_advice=_total_advice(source, slices))
    return _estimated(plan, of_list, response, total)


def _without_cost(installation: Installation, source: ImportSource, options: ImportOptions) -> Plan:
    """Return the plan of an import that would begin now: its kind, with the reason, but no numbers."""
    plan = Plan(source=source.name, limits=source.limits_text)
    with installation.database.read() as connection:
        reading = next_reading(connection, source, options, installation.clock.now())
        if reading is None:
            return plan
        plan = replace(plan, since=reading.since, reason=reading.reason or None)
        if plan.since is None:
            return plan
        return replace(plan, kind=ImportKind.INCREMENTAL.value, owed_count=count_owed(connection, source.name))


def _without_slices(plan: Plan) -> Plan:
    """Return the plan of an import that has no slice to read: it costs nothing, unless items are owed."""
    if plan.slices_count != 0 or plan.owed_count:
        return plan
    return replace(plan, items_count=0, list_requests=0, detail_requests=0, requests_count=0, ideal_seconds=0)


def _total(of_list: SourceList, response: httpx.Response, count: int) -> int | None:
    """Return the number of items that the import would find, by the first page with `count` items; None: unknown.

    The total of a list that is newest first counts the whole list, of which an incremental import reads the beginning.
    """
    source, is_whole = of_list.source, _is_whole(of_list, response)
    if source.since is not None and source.order == "newest_first":
        since = parse_position(source.since)
        found = of_list.parse(response, 1)
        new = [item for item in found if item.position is None or not item.position < since]
        return len(new) if len(new) < count or is_whole else None
    total = of_list.total(response)
    return count if total is None and is_whole else total


def _total_advice(source: ImportSource, slices: int | None) -> str | None:
    """Return what a person may do about an unknown number of items; None if only an import can find it."""
    if slices not in {None, 1} or (source.since is not None and source.order == "newest_first"):
        return None
    key = source.hook_words.get("total")
    if defines(source, "total"):
        return f"check {key or '`total`'}, which finds no number on the first page"
    return f"if its pages state it, {'define `total`' if key is None else 'declare its path with the key `total`'}"


def _latest_of_kind(installation: Installation, source: ImportSource) -> tuple[int | None, int | None]:
    """Return the latest import that read the whole list, or all changes, and its number of items.

    (None, None) without one.
    """
    with installation.database.read() as connection:
        ended = imports.latest(
            connection, source=source.name, statuses=[ImportStatus.COMPLETED], limit=IMPORTS_SEARCHED
        )
    for row in ended:
        is_alike = row.kind not in OTHERS if source.since is None else row.kind is ImportKind.INCREMENTAL
        if is_alike and row.incomplete_reason is None and row.options.limit is None and row.items_count is not None:
            return row.id, row.items_count
    return None, None


def _is_whole(of_list: SourceList, response: httpx.Response) -> bool:
    """Return True if the first page is the whole list."""
    try:
        return of_list.next_request(response, 1) is None
    except ListCutShort:
        return False


def _estimated(plan: Plan, of_list: SourceList, response: httpx.Response, total: int) -> Plan:
    """Return the plan with its cost for `total` items, of which `response` has those of the first page.

    Each slice has a page that is not full; the others hold as many items as are requested.
    """
    source, on_page, slices = of_list.source, of_list.items(response), plan.slices_count
    pages = max(1, -(-total // max(1, len(on_page)))) if slices is None else slices + total // source.per_page
    detail = of_list.detail_request(on_page) if on_page else None
    whole = bool(on_page) and detail is None
    details = 0 if whole else -(-(total + plan.owed_count) // (source.details_per_request or 1))
    first = of_list.first_request()
    units = Counter({_endpoint(source, first): pages * cost_of(source, first)})
    units[_endpoint(source, detail)] += details * (cost_of(source, detail) if detail is not None else 1)
    return replace(
        plan,
        items_count=total,
        list_requests=pages,
        detail_requests=details,
        requests_count=pages + details,
        ideal_seconds=round(minimum_by_endpoint(units, parse_limits(source.limits_text)), 3),
        details_may_be_fewer=not whole and _has_versions(of_list, response),
    )


def _has_versions(of_list: SourceList, response: httpx.Response) -> bool:
    """Return True if an item of the first page has a version, without which no item counts as unchanged."""
    if not defines(of_list.source, "version"):
        return False
    return any(item.version is not None for item in of_list.parse(response, 1))


def _endpoint(source: ImportSource, request: httpx.Request | None) -> str:
    """Return the path prefix whose limits a request takes; those of all others if it is unknown."""
    if request is None:
        return ""
    base = httpx.URL(source.base_url).path if source.base_url else ""
    return endpoint_of(tuple(parse_limits(source.limits_text)), request.url.path, base)


async def first_page(installation: Installation, of_list: SourceList) -> httpx.Response:
    """Request the list's first page under the limits. Raises ImportFailed if the API cannot be reached or pauses."""
    source = of_list.source
    async with open_api(source, installation.settings, installation.clock, patience=MAX_PAUSE_WAIT) as api:
        try:
            return await api.send(of_list.first_request(), first=True)
        except ApiBlocked as error:
            raise ImportFailed(f"{error}. Wait for it, or lift it: import-pipeline resume {source.name}") from error
        except TokenUnavailable as error:
            raise ImportFailed(str(error)) from error
        except httpx.TransportError as error:
            raise ImportFailed(unreachable(source.name, api.client.base_url, error)) from error
        except httpx.RequestError as error:
            raise ImportFailed(f"list page 1: {describe_connection_error(error)}") from error
