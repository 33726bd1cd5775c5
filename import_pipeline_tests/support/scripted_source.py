"""A source whose hooks run the script of a test; without one they work."""

import httpx

from import_pipeline.contracts import Connector
from import_pipeline.sources.items import ImportedItem, ItemsSource

#: hook -> function that gets the usual result and returns the one to use; or item id -> such a function.
SCRIPT = {}


def run_script(hook, usual, item_id=None):
    """Run the test's function for this hook, or the usual one."""
    play = SCRIPT.get(hook)
    if isinstance(play, dict):
        play = play[item_id]
    return usual() if play is None else play(usual)


def id_in(request):
    """Return the id of the item whose details a request asks for."""
    return request.url.path.rpartition("/")[2]


class Item(ImportedItem):
    """An item of the example, in its table."""

    def populate(self, detail):
        return run_script("populate", lambda: super(Item, self).populate(detail), self.external_id)

    def detail_request(self):
        return run_script("detail_request", super().detail_request, self.external_id)


class Auth(httpx.Auth):
    """Adds a header, unless the script replaces it."""

    def auth_flow(self, request):
        more = run_script("auth_flow", lambda: None)
        request.headers["X-Key"] = "0815"
        yield request
        while more:
            yield request


class Scripted(ItemsSource):
    """The source of items; `auth` makes it use an httpx.Auth."""

    model = Item
    auth = False

    def connector(self, settings):
        usual = super().connector(settings)
        if self.auth:
            usual = Connector(base_url=usual.base_url, auth=Auth())
        return run_script("connector", lambda: usual)

    def list_request(self, page, per_page):
        return run_script("list_request", lambda: super(Scripted, self).list_request(page, per_page))

    def items(self, list_response):
        return run_script("items", lambda: super(Scripted, self).items(list_response))

    def has_next_page(self, list_response):
        return run_script("has_next_page", lambda: super(Scripted, self).has_next_page(list_response))

    def stub(self, item):
        return run_script("stub", lambda: Item(external_id=str(item["id"]), name=item["name"]), str(item["id"]))

    def detail(self, response):
        return run_script("detail", lambda: super(Scripted, self).detail(response), id_in(response.request))

    def total(self, list_response):
        return run_script("total", lambda: super(Scripted, self).total(list_response))

    def version(self, item):
        return run_script("version", lambda: None, str(item.get("id")))

    def is_rate_limited(self, response):
        """The only hook whose script gets the arguments."""
        return SCRIPT["is_rate_limited"](response) if "is_rate_limited" in SCRIPT else False

    def cost(self, request):
        hook = "cost of the list" if "page" in request.url.params else "cost of a detail"
        return run_script(hook, lambda: 1, id_in(request))

    def notify(self, notice):
        run_script("notify", lambda: None)


class Linked(Scripted):
    """The source with a `next_request` hook."""

    def next_request(self, response, page):
        return run_script("next_request", lambda: super(Linked, self).next_request(response, page))
