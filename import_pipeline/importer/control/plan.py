"""Estimate the cost of a full import before it starts."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.paginators import ListCutShort
from import_pipeline.errors import ApiBlocked, ImportFailed
from import_pipeline.importer.discovery.list_page import SourceList
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.runtime.api_client import cost_of, open_api
from import_pipeline.importer.runtime.sending import describe_connection_error, unreachable
from import_pipeline.importer.slices.first_slice import count_slices, first_list
from import_pipeline.importer.tokens.server import TokenUnavailable
from import_pipeline.ratelimit.endpoints import parse_limits
from import_pipeline.rules.endpoints import endpoint_of
from import_pipeline.rules.forecast import minimum_by_endpoint
from import_pipeline.rules.status import ImportKind, ImportStatus
from import_pipeline.tracking import imports

#: Completed imports that are searched for one that read the whole list.
IMPORTS_SEARCHED = 50
#: The longest pause of the API that an estimate waits for.
MAX_PAUSE_WAIT = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cost of a full import. Numbers are None if neither the list nor an earlier import gives the number of items.

    All details count, since unchanged items are known only after the list was read.
    """

    source: str
    limits: str
    items_count: int | None
    list_requests: int | None
    detail_requests: int | None
    requests_count: int | None
    ideal_seconds: float | None  #: the least seconds that the limits allow, from empty windows
    estimated_from: int | None = None  #: the import that gave the number of items; None: the list itself
    details_may_be_fewer: bool = False  #: True if the source can recognize unchanged items
    slices_count: int | None = None  #: lists to read; None: the source has one

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def plan_import(installation: Installation, source: ImportSource) -> Plan:
    """Request one list page and compute the rest. Raises ImportFailed if the API does not answer as expected."""
    of_list, slices = first_list(installation, source), count_slices(installation, source)
    if of_list is None:
        return _unknown(source, slices)
    response = asyncio.run(first_page(installation, of_list))
    if (problem := of_list.first_page_problem(response)) is not None:
        raise ImportFailed(problem)
    on_page = of_list.items(response)
    total = of_list.total(response) if slices is None else None
    if total is None and slices in {None, 1} and _is_whole(of_list, response):
        total = len(on_page)
    estimated_from = None
    if total is None:
        estimated_from, total = _latest_full(installation, source)
    if total is None:
        return _unknown(source, slices)
    return _plan_for(of_list, on_page, total, estimated_from, slices)


def _unknown(source: ImportSource, slices: int | None) -> Plan:
    """Return the plan of an import whose number of items is unknown; nothing is to do without slices."""
    number = 0 if slices == 0 else None
    return Plan(
        source=source.name,
        limits=source.limits_text,
        items_count=number,
        list_requests=number,
        detail_requests=number,
        requests_count=number,
        ideal_seconds=number,
        slices_count=slices,
    )


def _latest_full(installation: Installation, source: ImportSource) -> tuple[int | None, int | None]:
    """Return the latest import that read the whole list, and its number of items; (None, None) without one."""
    with installation.database.read() as connection:
        ended = imports.latest(
            connection, source=source.name, statuses=[ImportStatus.COMPLETED], limit=IMPORTS_SEARCHED
        )
    for row in ended:
        whole = row.kind is not ImportKind.SELECTION and row.incomplete_reason is None and row.options.limit is None
        if whole and row.items_count is not None:
            return row.id, row.items_count
    return None, None


def _is_whole(of_list: SourceList, response: httpx.Response) -> bool:
    """Return True if the first page is the whole list."""
    try:
        return of_list.next_request(response, 1) is None
    except ListCutShort:
        return False


def _plan_for(
    of_list: SourceList,
    on_page: Sequence[Mapping[str, Any]],
    total: int,
    estimated_from: int | None,
    slices: int | None,
) -> Plan:
    """Return the plan for `total` items, of which `on_page` are those of the first page.

    Each slice has a page that is not full; the others hold as many items as are requested.
    """
    source = of_list.source
    pages = max(1, -(-total // max(1, len(on_page)))) if slices is None else slices + total // source.per_page
    detail = of_list.detail_request(on_page) if on_page else None
    whole = bool(on_page) and detail is None
    details = 0 if whole else -(-total // (source.details_per_request or 1))
    first = of_list.first_request()
    units = Counter({_endpoint(source, first): pages * cost_of(source, first)})
    units[_endpoint(source, detail)] += details * (cost_of(source, detail) if detail is not None else 1)
    return Plan(
        source=source.name,
        limits=source.limits_text,
        items_count=total,
        list_requests=pages,
        detail_requests=details,
        requests_count=pages + details,
        ideal_seconds=round(minimum_by_endpoint(units, parse_limits(source.limits_text)), 3),
        estimated_from=estimated_from,
        details_may_be_fewer=not whole and type(source).version is not ImportSource.version,
        slices_count=slices,
    )


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
