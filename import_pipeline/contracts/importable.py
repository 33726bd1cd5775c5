"""What a row of the user's own table can do."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable
from urllib.parse import quote

import httpx
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column


@runtime_checkable
class Importable(Protocol):
    """A row of the user's own table. It needs a unique `external_id`; tracking stays outside of it."""

    external_id: Any

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Take the detail's values over; raise ValueError, TypeError or KeyError to reject the payload for good."""
        ...

    def detail_request(self) -> httpx.Request | None:
        """The request for this item's details, relative to the connector's base URL; None: the list had it all."""
        ...


def path_segment(external_id: object) -> str:
    """The id as one segment of an address's path, whatever characters it has.

    Raises ValueError for `.` and `..`: every client takes them for a folder (RFC 3986, 5.2.4).
    """
    text = str(external_id)
    if text in {".", ".."}:
        raise ValueError(f"{text!r} cannot be asked for: in an address it means a folder")
    return quote(text, safe="")


class ImportableMixin:
    """The one column that an importable needs, for declarative classes that have no reason to write it themselves."""

    external_id: Mapped[str] = mapped_column(String(255), unique=True, doc="The id by which the API knows it.")
