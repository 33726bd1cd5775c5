"""An API that lists what changed since a position, in several orders and forms, and a source for it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial

import httpx

from import_pipeline import Incremental, PageNumber
from import_pipeline.contracts import Cursor, ImportSource
from import_pipeline.importer.execution.run import execute_import
from import_pipeline.importer.execution.session import ImportRun
from import_pipeline.importer.installation import open_installation
from import_pipeline.importer.lifecycle.acquire import find_or_create
from import_pipeline.importer.lifecycle.create import new_import
from import_pipeline.importer.runtime.api_client import open_api
from import_pipeline.importer.source_loader import configure
from import_pipeline.rules.status import Trigger
from import_pipeline.sources.items import ImportedItem
from import_pipeline.testing import CannedTransport, FakeClock
from import_pipeline.tracking.lists import bookmarks
from import_pipeline_tests.support.imports import rows, tracking

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
OFFSETS = (timedelta(0), timedelta(hours=5, minutes=45), timedelta(hours=-8))


@dataclass(frozen=True)
class Item:
    """An item of the API; `place` orders changes: an instant, or the number of the change."""

    id: str
    version: int
    place: float
    is_deleted: bool = False


@dataclass
class ChangesApi:
    """Lists items in one of several ways. Changes are `add`, `change`, `delete` (a tombstone stays in the list).

    `hook(n)` is called before the n-th request is answered, `page_hook(n)` before the n-th request of the list is.
    """

    clock: FakeClock
    form: str = "time"  #: positions are times, or numbers
    order: str | None = "oldest_first"
    is_keyset: bool = False  #: a page begins after the last item of the one before, wherever that is now
    has_filter: bool = True
    has_total: bool = True
    items: dict[str, Item] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  #: ids whose details are a 500
    broken_lists: int = 0  #: number of list requests to answer with 500
    refuses_since: int | None = None  #: the status of requests for changes
    unreadable: set[str] = field(default_factory=set)  #: ids of list items that are shown without an id
    odd: set[str] = field(default_factory=set)  #: those whose position is of another kind
    unplaced: set[str] = field(default_factory=set)  #: those without a position
    cut: int | None = None  #: number of items after which the list ends too early, although its total is right
    named: set[str] = field(default_factory=set)  #: ids that the list has shown
    hook: object = lambda number: None
    page_hook: object = lambda number: None
    lists: list[httpx.Request] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    changes: int = 0

    def add(self, *ids):
        """Add new items, all at this moment."""
        for each in ids:
            self.put(str(each))

    def change(self, item_id):
        """Change an item, or restore a deleted one."""
        self.put(item_id)

    def delete(self, item_id):
        """Replace an item by a tombstone."""
        self.put(item_id, is_deleted=True)

    def put(self, item_id, *, late=0, **values):
        """Store a new version of an item; `late` is the span by which its position lies back."""
        self.changes += 1
        place = int(self.clock.now().timestamp()) if self.form == "time" else self.changes
        place = max(0, place - late)
        self.items[item_id] = Item(item_id, self.changes, place, **values)

    def position(self, item):
        """Return the position as the list has it; times have several offsets."""
        if self.form != "time":
            return str(item.place)
        zone = timezone(OFFSETS[item.version % len(OFFSETS)])
        return datetime.fromtimestamp(item.place, zone).isoformat()

    @property
    def live(self):
        """Return id -> version of the items that are not deleted."""
        return {item.id: item.version for item in self.items.values() if not item.is_deleted}

    def __call__(self, request):
        self.hook(len(self.lists) + len(self.details) + 1)
        which = request.url.path.rpartition("/")[2]
        if which != "items":
            self.details.append(which)
            return self.detail(which)
        self.lists.append(request)
        self.page_hook(len(self.lists))
        if self.broken_lists:
            self.broken_lists -= 1
            return httpx.Response(500)
        if self.refuses_since is not None and "since" in request.url.params:
            return httpx.Response(self.refuses_since)
        headers = {"Date": format_datetime(self.clock.now(), usegmt=True)}
        return httpx.Response(200, json=self.page(dict(request.url.params)), headers=headers)

    def detail(self, which):
        if which in self.broken:
            return httpx.Response(500)
        found = self.items.get(which)
        if found is None or found.is_deleted:
            return httpx.Response(404)
        return {"id": which, "name": "n", "price": str(found.version)}

    def page(self, given):
        """Return a page: by number, or after the item that the cursor names."""
        found = self.listed(given.get("since") if self.has_filter else None)
        size, total = int(given["per_page"]), len(found)
        found = found[: self.cut]
        if self.is_keyset:
            after = [float(part) for part in given["after"].split("|")] if "after" in given else None
            found = [item for item in found if after is None or self.key(item) > tuple(after)]
            chosen, rest = found[:size], found[size:]
            cursor = "|".join(map(str, self.key(chosen[-1]))) if rest else None
            body = {"items": [self.shown(item) for item in chosen], "after": cursor}
            return body | ({"total": total} if self.has_total else {})
        number = int(given.get("page", 1))
        start = int(given.get("offset", (number - 1) * size))
        body = {"items": [self.shown(item) for item in found[start : start + size]]}
        body["more"] = start + size < len(found)
        body["next"] = str(httpx.URL("/items", params=given | {"page": number + 1})) if body["more"] else None
        return body | ({"total": total} if self.has_total else {})

    def key(self, item):
        """Return the sort key of an item."""
        sign = {"oldest_first": 1, "newest_first": -1}.get(self.order, 0)
        return (sign * item.place, int(item.id))

    def listed(self, since):
        found = sorted(self.items.values(), key=self.key)
        if since is None:
            return found
        low = datetime.fromisoformat(since).timestamp() if self.form == "time" else float(since)
        return [item for item in found if item.place >= low]

    def shown(self, item):
        self.named.add(item.id)
        found = {"id": item.id, "v": str(item.version), "at": self.position(item), "gone": item.is_deleted}
        if item.id in self.odd:
            found["at"] = "never"
        if item.id in self.unplaced:
            found["at"] = None
        if item.id in self.unreadable:
            del found["id"]
        return found


class WholeItem(ImportedItem):
    """An item in the same table, which the list has whole."""

    def detail_request(self):
        return None


class ChangesSource(ImportSource):
    """Items that change; the list names them with versions and positions."""

    is_whole = False  #: the list has all of an item
    is_versioned = True

    name = "items"
    model = ImportedItem
    base_url = "https://api.test"
    per_page = 3
    incremental = Incremental()
    pages = PageNumber(more="more", size="per_page")

    def list_request(self):
        return httpx.Request("GET", "/items")

    def changes_request(self, since):
        return httpx.Request("GET", "/items", params={"since": since})

    def items(self, list_response):
        return list_response.json()["items"]

    def total(self, list_response):
        return list_response.json().get("total")

    def stub(self, item):
        if self.is_whole:
            return WholeItem(external_id=item["id"], name="n", price=item["v"])
        return ImportedItem(external_id=item["id"], name="n")

    def version(self, item):
        return item["v"] if self.is_versioned else None

    def position(self, item):
        return item["at"]

    def is_deleted(self, item):
        return item["gone"]


def source_for(api, **values):
    """Return a source for this API."""
    source = ChangesSource()
    source.order = api.order
    if api.is_keyset:
        source.pages = Cursor(next="after", param="after", size="per_page")
    for name, value in values.items():
        setattr(source, name, value)
    if source.is_whole:
        source.model = WholeItem
    return source


@dataclass
class Station:
    """An installation with one source, whose imports read the API over a fake clock."""

    settings: object
    api: ChangesApi
    source: ImportSource

    def run(self, **options):
        """Import; return the summary. What it requested before is forgotten."""
        self.api.lists.clear()
        self.api.details.clear()
        clock = self.api.clock
        with open_installation(self.settings, configure([self.source], self.settings), clock=clock) as installation:
            found = installation.source(self.source.name)
            new = new_import(found, Trigger.CLI, **options)
            row = find_or_create(installation.database, found, new, clock)
        return self.execute(row.id)

    def execute(self, import_id):
        """Execute an import that waits, or whose process died."""
        clock = self.api.clock
        with open_installation(self.settings, configure([self.source], self.settings), clock=clock) as installation:
            found = installation.source(self.source.name)
            connect = partial(open_api, found, self.settings, clock, CannedTransport(self.api))
            return execute_import(ImportRun(installation=installation, source=found, connect=connect), import_id)

    @property
    def requests(self):
        """Return the numbers of list and detail requests of the last import."""
        return len(self.api.lists), len(self.api.details)

    @property
    def bookmark(self):
        """The position of the bookmark; None without one."""
        with tracking(self.settings) as connection:
            return bookmarks.of_source(connection, self.source.name).value

    @property
    def stored(self):
        """Id -> version of the stored rows."""
        return {key: int(row["price"] or 0) for key, row in rows(self.settings).items()}
