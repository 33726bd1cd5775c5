"""Every link of every page leads somewhere, and the sentence after a request leads to the import that it made."""

import re
from collections import Counter
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from sqlalchemy import insert, text

from import_pipeline.importer.control.scheduling import tick
from import_pipeline.importer.monitoring.queries import PAGE_SIZE
from import_pipeline.tracking import requests
from import_pipeline.tracking.history import importable_type
from import_pipeline.tracking.requests import NewRequest, RequestKind
from import_pipeline.tracking.tables import source_items
from import_pipeline_tests.support.import_rows import NOON
from import_pipeline_tests.support.panel_client import HOST, add_event, add_import, add_items, open_panel

pytestmark = pytest.mark.anyio
SOURCES = "import_pipeline.sources:SOURCES, shop.yaml"
SHOP = "{name: shop, base_url: 'https://shop.test', list: /a, pages: one_page, columns: {}}"
ENDED = {"started_at": NOON - timedelta(seconds=30), "ended_at": NOON, "elapsed_seconds": 30.0}
#: Pages of one shape that are visited: an import, an item, an order of the list.
MOST_ALIKE = 12
ODD_IDS = ("a/b", "ä ö", " x ", "100%", "a&id=1", "#7", "?", "..", '"quoted"', "<b>")


class Links(HTMLParser):
    """The addresses that a page links to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.found += [values[name] for name in ("href", "src") if values.get(name)]


def links_of(page):
    parser = Links()
    parser.feed(page.text)
    return parser.found


def seed(installation):
    """Add imports in every state, items with odd ids, and traces of what was deleted since."""
    kind = importable_type(installation.source("items").model)
    gone = add_import(installation, status="completed", **ENDED)
    for status in ("completed", "failed", "cancelled"):
        import_id = add_import(installation, status=status, items_count=3, items_failed_count=2, **ENDED)
        failed = {"status": "failed", "importable_type": kind, "failure_count": 1, "last_failed_at": NOON}
        reasons = [{"external_id": each, "failure_reason": each} for each in (*ODD_IDS, "1")]
        add_items(installation, import_id, *[failed | each for each in reasons])
        add_event(installation, import_id, "said")
    add_import(installation, trigger="retry", kind="selection", status="failed", retry_of=import_id, **ENDED)
    add_import(installation, trigger="retry", kind="selection", status="completed", retry_of=gone, **ENDED)
    add_import(installation, status="running", started_at=NOON, dagster_run_id="run-1")
    add_import(installation, slot_at=NOON + timedelta(hours=1), scheduled_at=NOON + timedelta(hours=1))
    add_import(installation, source="former", status="failed", items_failed_count=1, **ENDED)
    for _ in range(PAGE_SIZE):  # a second page of the list
        add_import(installation, source="shop", status="completed", scheduled_at=NOON - timedelta(days=1), **ENDED)
    with installation.database.write() as connection:
        known = {"source": "items", "first_import_id": gone, "last_import_id": import_id}
        connection.execute(insert(source_items), [known | {"external_id": each} for each in ODD_IDS])
        connection.execute(text("DELETE FROM imports WHERE id = :id"), {"id": gone})


async def test_no_link_of_any_page_is_dead(home, monkeypatch):
    monkeypatch.chdir(home.parent)
    (home.parent / "shop.yaml").write_text(SHOP)
    async with open_panel(home, IMPORT_PIPELINE_SOURCES=SOURCES) as panel:
        seed(panel.installation)
        seen, left, templates, alike = set(), ["/"], set(), Counter()
        while left:
            address = left.pop()
            page = await panel.get(address)
            assert page.status_code == 200, address
            templates.add(panel.drawn.template)
            if not page.headers["content-type"].startswith("text/html"):
                continue
            assert "No listed source knows" not in page.text, address
            for link in links_of(page):
                parts = urlsplit(urljoin(f"http://{HOST}{address}", link))
                target = f"{parts.path}?{parts.query}" if parts.query else parts.path
                shape = re.sub(r"\d+", "1", parts.path), tuple(parse_qs(parts.query))
                if parts.netloc == HOST and target not in seen and alike[shape] < MOST_ALIKE:
                    alike[shape] += 1
                    seen.add(target)
                    left.append(target)
        assert templates >= {"list.html", "import.html", "source.html", "item.html", "run.html", "confirm.html"}
        assert {urlsplit(each).path for each in seen} >= {"/item", "/run", "/sources/items", "/sources/shop"}


async def test_the_sentence_after_a_request_leads_to_its_import(home):
    async with open_panel(home) as panel:
        source = panel.installation.source("items")
        answer = await panel.post("/run", {"source": "items", "mode": "new"})
        page = await panel.get(answer.headers["location"])
        assert "Extra import requested." in page.text
        assert "Show import" not in page.text
        tick(panel.installation, source)
        page = await panel.get(answer.headers["location"])
        assert "The extra import is created." in page.text
        assert '<a href="/imports/1">Show import #1</a>' in page.text
        with panel.installation.database.write() as connection:
            connection.execute(text("DELETE FROM imports WHERE id = 1"))
        assert "Show import" not in (await panel.get(answer.headers["location"])).text


async def test_a_request_that_moved_a_slot_leads_to_its_import_too(home):
    async with open_panel(home) as panel:
        answer = await panel.post("/run", {"source": "items", "mode": "reschedule"})
        tick(panel.installation, panel.installation.source("items"))
        page = await panel.get(answer.headers["location"])
        assert "Show import #" in page.text


@pytest.mark.parametrize("number", ["0", "1", "99", "x", "9" * 30, "-1"])
async def test_an_invented_request_shows_the_plain_sentence(home, number):
    async with open_panel(home) as panel:
        with panel.installation.database.write() as connection:
            requests.record(connection, NewRequest(source="items", kind=RequestKind.CANCEL, import_id=7), NOON)
        page = await panel.get(f"/?done=new&request={number}")
        assert "Extra import requested." in page.text
        assert "Show import" not in page.text
