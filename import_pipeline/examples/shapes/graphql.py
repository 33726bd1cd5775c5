"""Orders by GraphQL: a bucket of cost units, errors in a 200, the list item is the whole item."""

import json

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import Connector, Cursor, ImportableMixin, ImportSource

FIELDS = "nodes { id name totalPrice updatedAt } pageInfo { hasNextPage endCursor }"
QUERY = f"query($first: Int!, $after: String) {{ orders(first: $first, after: $after) {{ {FIELDS} }} }}"
PAGE = "data.orders.pageInfo"


class Base(DeclarativeBase): ...


class Order(ImportableMixin, Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    total: Mapped[str]


class Orders(ImportSource):
    name, model, limits = "orders", Order, "1000/20 second"  # cost units: the bucket's size, and its restore rate
    pages = Cursor(
        next=f"{PAGE}.endCursor",
        more=f"{PAGE}.hasNextPage",
        param="variables.after",
        size="variables.first",
        where="json",
    )

    def connector(self, settings):
        return Connector(base_url=self.base_url, headers={"X-Access-Token": settings.token or ""})

    def list_request(self):
        return httpx.Request("POST", "/graphql.json", json={"query": QUERY, "variables": {}})

    def cost(self, request):
        return 2 + json.loads(request.content)["variables"]["first"]

    def items(self, list_response):
        return list_response.json()["data"]["orders"]["nodes"]

    def stub(self, item):
        return Order(external_id=item["id"], name=item["name"], total=item["totalPrice"])

    def is_rate_limited(self, response):
        return '"THROTTLED"' in response.text


SOURCES = [Orders()]
