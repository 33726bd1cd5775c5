"""Import items whose details come in batches, and compare requests and seconds with the least that the limits allow.

    python benchmarks/batches.py [--items 10000] [--size 100] [--limits "20/1 second"] [--latency 50]

Each line is a whole import from a strict API on this machine: in batches of that size, and with details one by one.
`least` is the shortest time for the list and the details, from empty windows. The API counts its requests itself.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
sys.path[0] = str(Path(__file__).parent.parent)

import click
import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from import_pipeline import ImportableMixin, ImportSource, PageNumber, run_import
from import_pipeline.ratelimit import parse_tiers
from import_pipeline.rules.forecast import minimum_seconds
from import_pipeline.settings import load_settings
from import_pipeline_tests.support.imports import served


class Base(DeclarativeBase):
    """The tables of this program."""


class Deal(ImportableMixin, Base):
    """A row whose details come in batches."""

    __tablename__ = "deals"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str | None]

    def populate(self, detail: dict[str, Any]) -> None:
        """Copy the label."""
        self.label = detail["label"]


class Deals(ImportSource):
    """A list in pages of 100, details in batches."""

    name, model, pages = "deals", Deal, PageNumber()

    def __init__(self, size: int) -> None:
        super().__init__()
        self.details_per_request = size

    def list_request(self) -> httpx.Request:
        """GET /deals"""
        return httpx.Request("GET", "/deals")

    def items(self, list_response: httpx.Response) -> list[dict[str, Any]]:
        """Return the items of a page."""
        return list(list_response.json())

    def stub(self, item: dict[str, Any]) -> Deal:
        """Return a row with its id."""
        return Deal(external_id=item["id"])

    def details_request(self, rows: Sequence[Any]) -> httpx.Request:
        """POST /read"""
        return httpx.Request("POST", "/read", json=[row.external_id for row in rows])

    def details(self, response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
        """Return the details by id."""
        return [(each["id"], each) for each in response.json()]


class Api:
    """Counts list and detail requests, and the most details in one second."""

    def __init__(self, items: int, latency_ms: int) -> None:
        self.items, self.latency = items, latency_ms / 1000
        self.lists = self.details = 0
        self.app = Starlette(
            routes=[Route("/deals", self.listed), Route("/read", self.read, methods=["POST"])],
        )

    async def listed(self, request: Request) -> JSONResponse:
        """Answer a page."""
        self.lists += 1
        await asyncio.sleep(self.latency)
        first = (int(request.query_params["page"]) - 1) * 100
        return JSONResponse([{"id": str(each)} for each in range(first + 1, min(first + 100, self.items) + 1)])

    async def read(self, request: Request) -> JSONResponse:
        """Answer a batch."""
        self.details += 1
        await asyncio.sleep(self.latency)
        return JSONResponse([{"id": each, "label": f"deal {each}"} for each in await request.json()])


@click.command()
@click.option("--items", default=10_000, show_default=True, help="Number of items.")
@click.option("--size", default=100, show_default=True, help="Items in one request.")
@click.option("--limits", default="20/1 second", show_default=True, help="The limits of the API.")
@click.option("--latency", default=50, show_default=True, help="Milliseconds before each response.")
def main(items: int, size: int, limits: str, latency: int) -> None:
    """Print a line per way to fetch details."""
    click.echo(f"{items} items, {limits}, {latency} ms of latency")
    click.echo(f"{'per request':>11}{'lists':>8}{'details':>9}{'seconds':>9}{'least':>8}{'ratio':>7}")
    api = Api(items, latency)
    with served(api.app) as url, tempfile.TemporaryDirectory() as home:
        environment = {"IMPORT_PIPELINE_HOME": home, "DEALS_BASE_URL": url, "DEALS_LIMITS": limits}
        began = time.monotonic()
        summary = run_import("deals", settings=load_settings(environment, Path(home)), sources=[Deals(size)])
        seconds = time.monotonic() - began
    if (summary.status, summary.items_imported_count) != ("completed", items):
        raise click.ClickException(f"the import is {summary.status}: {summary.failure_reason}")
    least = minimum_seconds(api.lists + api.details, parse_tiers(limits))
    ratio = f"{seconds / least:.2f}" if least else ""
    click.echo(f"{size:>11}{api.lists:>8}{api.details:>9}{seconds:>9.2f}{least:>8.2f}{ratio:>7}")
    alone = minimum_seconds(api.lists + items, parse_tiers(limits))
    click.echo(f"{1:>11}{api.lists:>8}{items:>9}{'':>9}{alone:>8.2f}   (computed)")


if __name__ == "__main__":
    main()
