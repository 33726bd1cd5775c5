"""A source full of secrets, whose hooks quote them in every error, and a log of everything."""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from import_pipeline import Connector, ImportableMixin, ImportSource
from import_pipeline.settings import SourceSettings

#: place -> the secret that is planted there
SECRETS = {
    "password of the address": "pw-4bd1c0ffee5e77",
    "parameter of the address": "param-90be1ab61d03f2",
    "token": "token-2f8c6de0a911b4",
    "header of the connector": "partner-7715dafe0c62aa",
    "parameter of the connector": "appid-66e0fa913bd27c",
    "header of a request": "request-b3308c1de95f64",
    "body of an answer": "answer-5c0d9e12f7ab38",
}


class Base(DeclarativeBase):
    """The tables of this module."""


class SecretRevealingItem(ImportableMixin, Base):
    """An item that rejects all details and quotes them in its error."""

    __tablename__ = "telltales"

    id: Mapped[int] = mapped_column(primary_key=True)

    def detail_request(self) -> httpx.Request:
        """Return a request with a secret in its address and in a header."""
        if self.external_id == "unaskable":
            raise ValueError(f"cannot ask with {os.environ['PLANTED_TOKEN']}")
        headers = {"X-Auth-Token": SECRETS["header of a request"]}
        logging.getLogger(__name__).debug("GET /api/items/%s?%s", self.external_id, _query())
        return httpx.Request("GET", f"/api/items/{self.external_id}?{_query()}", headers=headers)

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Raise the error that the detail names, quoting the whole detail."""
        try:
            raise LookupError(f"looked through {detail}")
        except LookupError:
            if self.external_id == "crash":
                raise RuntimeError(f"cannot live with {', '.join(detail['echo'])}") from None
            if self.external_id == "crash-chained":
                raise RuntimeError("cannot live with it")  # noqa: B904  # the cause is in the traceback
            raise ValueError(f"{self.external_id}: not with {detail}, nor {' '.join(detail['echo'])}") from None


class PlantedSource(ImportSource):
    """A source with secrets in addresses, headers and parameters."""

    name = "planted"
    model = SecretRevealingItem
    keep_payloads = True

    def connector(self, settings: SourceSettings) -> Connector:
        """Put the token into a header of an unusual name."""
        headers = {"X-Partner": SECRETS["header of the connector"], "X-Mine": f"Token {settings.token}"}
        base_url = self.base_url.replace("://", f"://importer:{SECRETS['password of the address']}@")
        params = {"appid": SECRETS["parameter of the connector"]}
        return Connector(base_url=base_url, headers=headers, params=params, timeout=self.timeout)

    def list_request(self, page: int, per_page: int) -> httpx.Request:
        """A page."""
        return httpx.Request("GET", f"/api/items?page={page}&{_query()}")

    def items(self, list_response: httpx.Response) -> Iterable[Mapping[str, Any]]:
        """Return the items, or raise an error that quotes the page."""
        body = list_response.json()
        if "echo" in body:
            raise ValueError(f"no list, but {body}")
        found: list[Mapping[str, Any]] = body["data"]
        return found

    def has_next_page(self, list_response: httpx.Response) -> bool:
        """One page is all."""
        return False

    def stub(self, item: Mapping[str, Any]) -> SecretRevealingItem:
        """An id."""
        if item["id"] == "unreadable":
            raise ValueError(f"cannot read {item} with {os.environ['PLANTED_TOKEN']}")
        return SecretRevealingItem(external_id=item["id"])


def _query() -> str:
    return f"api_key={SECRETS['parameter of the address']}"


def sources() -> list[ImportSource]:
    """Return the source; all loggers of the process log at DEBUG."""
    if path := os.environ.get("PLANTED_LOG"):
        logging.basicConfig(level=logging.DEBUG, filename=Path(path), force=True)
    return [PlantedSource()]


SOURCES = sources()
