"""Accounts: OAuth 2 with short-lived access tokens and a rotating refresh token, pages by address."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import Connector, ImportableMixin, ImportSource, Incremental, NextUrl, OAuth2

QUERY = "SELECT Id, Name, Amount, IsDeleted, SystemModstamp FROM Account WHERE SystemModstamp >= "


class Base(DeclarativeBase): ...


class Account(ImportableMixin, Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    amount: Mapped[str]


class Accounts(ImportSource):
    name, model, limits = "accounts", Account, "100/20 second"
    pages, order, incremental = NextUrl("nextRecordsUrl"), "oldest_first", Incremental(start="2000-01-01T00:00:00Z")

    def connector(self, settings):
        client = settings.secret("CLIENT_ID"), settings.secret("CLIENT_SECRET")
        auth = OAuth2("/oauth/token", *client, refresh_token=settings.secret("REFRESH_TOKEN"))
        return Connector(base_url=self.base_url, auth=auth)

    def changes_request(self, since):
        return httpx.Request("GET", "/query", params={"q": f"{QUERY}{since} ORDER BY SystemModstamp"})

    def items(self, list_response):
        return list_response.json()["records"]

    def position(self, item):
        return item["SystemModstamp"]

    def is_deleted(self, item):
        return item["IsDeleted"]

    def stub(self, item):
        return Account(external_id=item["Id"], name=item["Name"], amount=item["Amount"])


SOURCES = [Accounts()]
