"""Orders by GraphQL: a budget of cost units, errors in a 200, list items that are whole."""

import json

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import FAIL, RATE_LIMITED, Connector, Cursor, ImportableMixin, ImportSource, Incremental

QUERY = """query($first: Int!, $after: String, $query: String) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id name totalPrice updatedAt } pageInfo { hasNextPage endCursor } } }"""
PAGE = "data.orders.pageInfo"


class Base(DeclarativeBase): ...


class Order(ImportableMixin, Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    total: Mapped[str]


class Orders(ImportSource):
    name, model, limits = "orders", Order, "1000/20 second"  # cost units: 1000 at once, 50 return each second
    order, incremental = "oldest_first", Incremental(start="2000-01-01T00:00:00Z")
    pages = Cursor(next=f"{PAGE}.endCursor", more=f"{PAGE}.hasNextPage", param="variables.after", where="json")

    def connector(self, settings):
        return Connector(base_url=self.base_url, headers={"X-Access-Token": settings.token or ""})

    def changes_request(self, since):
        variables = {"first": self.per_page, "query": f"updated_at:>='{since}'"}
        return httpx.Request("POST", "/graphql.json", json={"query": QUERY, "variables": variables})

    def cost(self, request):
        return 2 + json.loads(request.content)["variables"]["first"]

    def classify(self, response):
        if response.is_success and (errors := response.json().get("errors")):
            return RATE_LIMITED if errors[0]["extensions"]["code"] == "THROTTLED" else FAIL(errors[0]["message"])
        return None

    def items(self, list_response):
        return list_response.json()["data"]["orders"]["nodes"]

    def position(self, item):
        return item["updatedAt"]

    def stub(self, item):
        return Order(external_id=item["id"], name=item["name"], total=item["totalPrice"])


SOURCES = [Orders()]
