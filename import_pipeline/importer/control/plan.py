"""Estimate the cost of a full import before it starts."""

import asyncio
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
from import_pipeline.importer.tokens.server import TokenUnavailable
from import_pipeline.ratelimit import parse_tiers
from import_pipeline.rules.forecast import minimum_seconds
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

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def plan_import(installation: Installation, source: ImportSource) -> Plan:
    """Request one list page and compute the rest. Raises ImportFailed if the API does not answer as expected."""
    response = asyncio.run(first_page(installation, source))
    of_list = SourceList(source=source)
    if (problem := of_list.first_page_problem(response)) is not None:
        raise ImportFailed(problem)
    total, on_page = of_list.total(response), of_list.items(response)
    if total is None and _is_whole(source, response):
        total = len(on_page)
    estimated_from = None
    if total is None:
        estimated_from, total = _latest_full(installation, source)
    if total is None:
        return Plan(
            source=source.name,
            limits=source.limits,
            items_count=None,
            list_requests=None,
            detail_requests=None,
            requests_count=None,
            ideal_seconds=None,
        )
    return _plan_for(source, on_page, total, estimated_from)


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


def _is_whole(source: ImportSource, response: httpx.Response) -> bool:
    """Return True if the first page is the whole list."""
    try:
        return SourceList(source=source).next_request(response, 1) is None
    except ListCutShort:
        return False


def _plan_for(
    source: ImportSource, on_page: Sequence[Mapping[str, Any]], total: int, estimated_from: int | None
) -> Plan:
    """Return the plan for `total` items, of which `on_page` are those of the first page."""
    pages = max(1, -(-total // max(1, len(on_page))))
    of_list = SourceList(source=source)
    detail = of_list.detail_request(on_page) if on_page else None
    whole = bool(on_page) and detail is None
    details = 0 if whole else -(-total // (source.details_per_request or 1))
    places = pages * cost_of(source, of_list.first_request())
    places += details * (cost_of(source, detail) if detail is not None else 1)
    return Plan(
        source=source.name,
        limits=source.limits,
        items_count=total,
        list_requests=pages,
        detail_requests=details,
        requests_count=pages + details,
        ideal_seconds=round(minimum_seconds(places, parse_tiers(source.limits)), 3),
        estimated_from=estimated_from,
        details_may_be_fewer=not whole and type(source).version is not ImportSource.version,
    )


async def first_page(installation: Installation, source: ImportSource) -> httpx.Response:
    """Request the list's first page under the limits. Raises ImportFailed if the API cannot be reached or pauses."""
    async with open_api(source, installation.settings, installation.clock, patience=MAX_PAUSE_WAIT) as api:
        try:
            return await api.send(SourceList(source=source).first_request(), first=True)
        except ApiBlocked as error:
            raise ImportFailed(f"{error}. Wait for it, or lift it: import-pipeline resume {source.name}") from error
        except TokenUnavailable as error:
            raise ImportFailed(str(error)) from error
        except httpx.TransportError as error:
            raise ImportFailed(unreachable(source.name, api.client.base_url, error)) from error
        except httpx.RequestError as error:
            raise ImportFailed(f"list page 1: {describe_connection_error(error)}") from error
