"""A list that changes while an import reads it, served without a network."""

from import_pipeline.sources.items import ItemsSource
from import_pipeline.testing import CannedTransport
from import_pipeline_tests.support.imports import import_through, settings

URL = "https://api.test"


class ChangingList:
    """A paged list of ids. `between[n]` changes it once, before its n-th request is answered."""

    def __init__(self, ids, *, size=3, between=None, names_total=True):
        self.ids, self.size, self.names_total = list(ids), size, names_total
        self.between = dict(between or {})
        self.pages = []

    def __call__(self, request):
        if request.url.path != "/api/items":
            return detail(request.url.path.rpartition("/")[2])
        self.pages.append(int(request.url.params["page"]))
        if change := self.between.pop(len(self.pages), None):
            change(self.ids)
        return self.page(self.pages[-1])

    def page(self, number):
        chosen = self.ids[(number - 1) * self.size : number * self.size]
        body = {"data": [{"id": each, "name": "n"} for each in chosen], "current_page": number}
        body["last_page"] = -(-len(self.ids) // self.size)
        return body | ({"total": len(self.ids)} if self.names_total else {})


def detail(item_id):
    return {"id": item_id, "name": "n", "price": "1.00"}


def import_list(transport, home, source=None, **variables):
    """Import from that list; return the summary and the settings."""
    configured = settings(home, URL, **variables)
    if not isinstance(transport, CannedTransport):
        transport = CannedTransport(transport)
    return import_through(transport, source or ItemsSource(), configured), configured


def remove_first(ids):
    ids.pop(0)


def insert_first(ids):
    ids.insert(0, 0)
