"""Crawlee's HttpCrawler, 20 to 50 tasks; rows in its dataset.

python crawlee_items.py URL FOLDER
"""

import asyncio
import json
import os
import sys
from pathlib import Path

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
os.environ["CRAWLEE_STORAGE_DIR"] = str(FOLDER / "storage")

from crawlee import ConcurrencySettings, Request
from crawlee.crawlers import HttpCrawler, HttpCrawlingContext
from crawlee.storage_clients import MemoryStorageClient


async def main() -> None:
    """List, then details."""
    crawler = HttpCrawler(
        concurrency_settings=ConcurrencySettings(min_concurrency=20, desired_concurrency=20, max_concurrency=50),
        storage_client=MemoryStorageClient(),
        configure_logging=False,
    )
    rows = (FOLDER / "rows.jsonl").open("w")

    @crawler.router.default_handler
    async def detail(context: HttpCrawlingContext) -> None:
        rows.write(json.dumps(json.loads(await context.http_response.read())) + "\n")

    @crawler.router.handler("page")
    async def page(context: HttpCrawlingContext) -> None:
        body = json.loads(await context.http_response.read())
        await context.add_requests([f"{URL}/api/items/{item['id']}" for item in body["data"]])
        if body["current_page"] < body["last_page"]:
            following = f"{URL}/api/items?page={body['current_page'] + 1}&perPage=100"
            await context.add_requests([Request.from_url(following, label="page")])

    await crawler.run([Request.from_url(f"{URL}/api/items?page=1&perPage=100", label="page")])
    rows.close()


asyncio.run(main())
