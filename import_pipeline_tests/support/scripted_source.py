"""A source whose every hook does what a test has written down for it, and else what it should."""

import httpx

from import_pipeline.contracts import Connector
from import_pipeline.sources.items import ImportedItem, ItemsSource

#: hook -> what is called with the usual result, in place of it.
SCRIPT = {}


def run_script(hook, usual):
    """Run the test's own, or the usual."""
    return SCRIPT[hook](usual) if hook in SCRIPT else usual()


class Item(ImportedItem):
    """An item of the example, in its table."""

    def populate(self, detail):
        return run_script("populate", lambda: super(Item, self).populate(detail))

    def detail_request(self):
        return run_script("detail_request", super().detail_request)


class Auth(httpx.Auth):
    """Adds a header, unless the script has another idea."""

    def auth_flow(self, request):
        more = run_script("auth_flow", lambda: None)
        request.headers["X-Key"] = "0815"
        yield request
        while more:
            yield request


class Scripted(ItemsSource):
    """The items; `auth` asks for an httpx.Auth."""

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
        return run_script("stub", lambda: Item(external_id=str(item["id"]), name=item["name"]))

    def detail(self, response):
        return run_script("detail", lambda: super(Scripted, self).detail(response))

    def total(self, list_response):
        return run_script("total", lambda: super(Scripted, self).total(list_response))

    def version(self, item):
        return run_script("version", lambda: None)

    def is_rate_limited(self, response):
        """The one hook whose script reads what the hook is given."""
        return SCRIPT["is_rate_limited"](response) if "is_rate_limited" in SCRIPT else False

    def cost(self, request):
        hook = "cost of the list" if "page" in request.url.params else "cost of a detail"
        return run_script(hook, lambda: 1)

    def notify(self, notice):
        run_script("notify", lambda: None)


class Linked(Scripted):
    """Its next page comes from a hook of its own."""

    def next_request(self, response, page):
        return run_script("next_request", lambda: super(Linked, self).next_request(response, page))
