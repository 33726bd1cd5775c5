"""What an import would cost, before it is started."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from import_pipeline.contracts import ImportSource
from import_pipeline.errors import ImportFailed
from import_pipeline.importer.api import open_api
from import_pipeline.importer.installation import Installation
from import_pipeline.importer.outage import in_words
from import_pipeline.ratelimit import parse_tiers
from import_pipeline.ratelimit.redaction import redact
from import_pipeline.rules.forecast import minimum_seconds
from import_pipeline.rules.outcome import Verdict, judge
from import_pipeline.settings import variable_prefix


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The cost of a full import. Numbers are None where the list does not tell how many items it has."""

    source: str
    limits: str
    items_count: int | None
    list_requests: int | None
    detail_requests: int | None
    requests_count: int | None
    ideal_seconds: float | None  #: the least time that the limits allow, from empty windows

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def plan_import(installation: Installation, source: ImportSource) -> Plan:
    """Ask for one list page and compute the rest. Raises ImportFailed where the API does not answer as it should."""
    response = asyncio.run(first_page(installation, source))
    judgement = judge(response.status_code, setting=variable_prefix(source.name) + "TOKEN")
    if judgement.verdict is not Verdict.READ:
        raise ImportFailed(f"list page 1: {judgement.reason}")
    total = source.total(response)
    on_page = list(source.items(response))
    if total is None and not source.has_next_page(response):
        total = len(on_page)
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
    pages = max(1, -(-total // max(1, len(on_page))))
    whole = bool(on_page) and source.stub(on_page[0]).detail_request() is None
    details = 0 if whole else total
    return Plan(
        source=source.name,
        limits=source.limits,
        items_count=total,
        list_requests=pages,
        detail_requests=details,
        requests_count=pages + details,
        ideal_seconds=round(minimum_seconds(pages + details, parse_tiers(source.limits)), 3),
    )


async def first_page(installation: Installation, source: ImportSource) -> httpx.Response:
    """The list's first page, asked for under the limits. Raises ImportFailed where the API cannot be reached."""
    async with open_api(source, installation.settings, installation.clock) as api:
        try:
            return await api.send(source.list_request(1, source.per_page), first=True)
        except httpx.TransportError as error:
            base = redact(str(api.client.base_url))
            raise ImportFailed(f"the API at {base} cannot be reached: {in_words(error)}") from error
        except httpx.DecodingError as error:
            raise ImportFailed(f"list page 1: {in_words(error)}") from error
