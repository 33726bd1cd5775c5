"""Read the lists of slices: 40 pages of 0.2 s each, and a thousand parents with 0 to 300 children each.

    python benchmarks/slices.py [--parents 1000]

The first line shows that list pages are requested together: one after the other they would take 8 s. The second shows
the requests, the seconds and the memory of an import with many slices, beside one with a tenth of them: memory must not
grow with the number of slices. Both servers run in this process; requests go over real connections.
"""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# Run as a script, this folder is first on the path, and limits.py would hide the library of that name.
ROOT = Path(__file__).parent.parent
sys.path[0] = str(ROOT)

import click
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from import_pipeline_tests.support.imports import import_through, served, settings
from import_pipeline_tests.support.sliced_api import SIZE, Windows

PAGES, PAGE_SECONDS, LIMITS = 40, 0.2, "100/1 second"
MOST_CHILDREN = 300


def children(parent: int) -> int:
    """Return a number of children from 0 to MOST_CHILDREN, spread evenly."""
    return parent * 7919 % (MOST_CHILDREN + 1)


class Api:
    """The lists of comments, each page after a delay. `asked` counts the requests by slice and page."""

    def __init__(self, delay: float, per_page: int, sizes: dict[str, int]) -> None:
        self.delay, self.per_page, self.sizes = delay, per_page, sizes
        self.asked: Counter[tuple[str, int]] = Counter()
        self.app = Starlette(routes=[Route("/issues/{key}/comments", self.page)])

    async def page(self, request: Request) -> JSONResponse:
        """Return a page of the comments of an issue."""
        key, page = request.path_params["key"], int(request.query_params["page"])
        self.asked[key, page] += 1
        await asyncio.sleep(self.delay)
        ids = range(self.sizes[key])[(page - 1) * self.per_page : page * self.per_page]
        more = page * self.per_page < self.sizes[key]
        return JSONResponse({"data": [{"id": f"{key}-{each}", "text": "t"} for each in ids], "more": more})


def import_slices(url: str, keys: list[str], limits: str, per_page: int) -> tuple[float, int]:
    """Import the slices into a new home; return the seconds and the number of items."""
    with tempfile.TemporaryDirectory() as folder:
        configured = settings(
            Path(folder) / "home", url, COMMENTS_BASE_URL=url, COMMENTS_LIMITS=limits, COMMENTS_PER_PAGE=str(per_page)
        )
        began = time.monotonic()
        summary = import_through(None, Windows(keys), configured)  # over real connections
        return time.monotonic() - began, summary.items_imported_count


def forty_pages() -> None:
    """Print the seconds for PAGES slow pages in slices."""
    api = Api(PAGE_SECONDS, SIZE, {str(number): 1 for number in range(PAGES)})
    with served(api.app) as url:
        seconds, items = import_slices(url, list(api.sizes), LIMITS, SIZE)
    click.echo(
        f"{PAGES} list pages of {PAGE_SECONDS} s in slices under {LIMITS}: {seconds:.2f} s for the whole import, "
        f"{items} items, {sum(api.asked.values())} requests"
    )


def many_parents(parents: int) -> None:
    """Print the requests, seconds and memory of an import with that many slices. In a process of its own."""
    api = Api(0.0, 100, {str(number): children(number) for number in range(parents)})
    with served(api.app) as url:
        seconds, items = import_slices(url, list(api.sizes), "100000/1 second", 100)
    needed = sum(max(1, -(-size // 100)) for size in api.sizes.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    click.echo(
        f"{parents} slices with 0 to {MOST_CHILDREN} items: {items} of {sum(api.sizes.values())} items, "
        f"{sum(api.asked.values())} requests for {needed} pages, {seconds:.1f} s, {memory} MB at most"
    )


@click.command()
@click.option("--parents", default=1_000, show_default=True)
@click.option("--only", is_flag=True, hidden=True)
def main(parents: int, only: bool) -> None:
    """Print the figures."""
    if only:
        many_parents(parents)
        return
    forty_pages()
    for number in (parents // 10, parents):
        subprocess.run([sys.executable, __file__, "--only", "--parents", str(number)], check=True)


if __name__ == "__main__":
    main()
