"""Accounts: OAuth 2 with short-lived access tokens and a rotating refresh token, pages by address."""

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import Connector, ImportableMixin, ImportSource, NextUrl, OAuth2

QUERY = "SELECT Id, Name, Amount, IsDeleted, SystemModstamp FROM Account"


class Base(DeclarativeBase): ...


class Account(ImportableMixin, Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    amount: Mapped[str]


class Accounts(ImportSource):
    name, model, limits = "accounts", Account, "100/20 second"
    pages = NextUrl("nextRecordsUrl")

    def connector(self, settings):
        client = settings.secret("CLIENT_ID"), settings.secret("CLIENT_SECRET")
        auth = OAuth2("/oauth/token", *client, refresh_token=settings.secret("REFRESH_TOKEN"))
        return Connector(base_url=self.base_url, auth=auth)

    def list_request(self):
        return httpx.Request("GET", "/query", params={"q": QUERY})

    def items(self, list_response):
        return [each for each in list_response.json()["records"] if not each["IsDeleted"]]

    def stub(self, item):
        return Account(external_id=item["Id"], name=item["Name"], amount=item["Amount"])


SOURCES = [Accounts()]
