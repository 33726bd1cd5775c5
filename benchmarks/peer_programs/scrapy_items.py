"""Scrapy: 32 requests at once, a feed of JSON lines.

python scrapy_items.py URL FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess

URL, FOLDER = sys.argv[1], Path(sys.argv[2])


class Items(scrapy.Spider):
    """The list and its details."""

    name = "items"
    start_urls = [f"{URL}/api/items?page=1&perPage=100"]
    custom_settings = {
        "CONCURRENT_REQUESTS": 32,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
        "DOWNLOAD_DELAY": 0,
        "ROBOTSTXT_OBEY": False,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_LEVEL": "WARNING",
        "FEEDS": {str(FOLDER / "rows.jsonl"): {"format": "jsonlines"}},
    }

    def parse(self, response: Any) -> Iterator[Any]:
        """A page."""
        body = json.loads(response.text)
        for item in body["data"]:
            yield scrapy.Request(f"{URL}/api/items/{item['id']}", callback=self.parse_detail)
        if body["current_page"] < body["last_page"]:
            yield scrapy.Request(f"{URL}/api/items?page={body['current_page'] + 1}&perPage=100", priority=1)

    def parse_detail(self, response: Any) -> Iterator[Any]:
        """An item."""
        yield json.loads(response.text)


process = CrawlerProcess()
process.crawl(Items)
process.start()
