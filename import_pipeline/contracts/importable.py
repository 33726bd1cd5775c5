"""The contract of your row class, and helpers to write one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import quote

import httpx
from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column


@runtime_checkable
class Importable(Protocol):
    """A row of your own table, mapped by SQLAlchemy.

    Each row describes one item of the API. The table needs a unique `external_id`; import states are kept in the
    tracking tables, so no other column is required.

    If list items are whole, leave out both methods: each row is stored as the stub has it, without a request.

    A row whose details need several requests has one more method, `more(self, detail)`. It is called after `populate`
    with the same detail, and returns the next request for this item or None. Its answer is read by
    `ImportSource.detail`, then `populate` and `more` are called again:

        def more(self, detail):
            cursor = detail.get("next_cursor")
            return httpx.Request("GET", f"/orders/{self.external_id}/lines?cursor={cursor}") if cursor else None
    """

    external_id: Any  #: the API's id of the item: a text, a whole number or a UUID

    def populate(self, detail: Mapping[str, Any]) -> None:
        """Copy the values of a fetched detail to this row. `detail` is the return value of `ImportSource.detail`.

        Any exception (usually ValueError, TypeError or KeyError) rejects the payload: the item fails permanently, with
        the message as its reason. Raise `import_pipeline.errors.ItemRetryable` to have the item tried again later. Do
        not change `external_id`.
        """
        ...

    def detail_request(self) -> httpx.Request | None:
        """Return the request for this item's details, relative to the connector's base URL.

        Return None if the list item was complete: the row is stored as the stub has it, without a request. Example:
        `httpx.Request("GET", f"/orders/{path_segment(self.external_id)}")`

        With the source's `details_per_request` this method may be left out. If it is there, only a None counts.
        """
        ...


def path_segment(external_id: object) -> str:
    """Return the id quoted as one segment of a URL path, whatever characters it has: `a/b` becomes `a%2Fb`.

    Raises ValueError for `.` and `..`, which every client resolves as folders (RFC 3986, 5.2.4).
    """
    text = str(external_id)
    if text in {".", ".."}:
        raise ValueError(f"{text!r} cannot be requested: in a URL path it means a folder")
    return quote(text, safe="")


def is_always_whole(model: object) -> bool:
    """Return True for a row class without methods for details: its list items are whole."""
    return not hasattr(model, "detail_request") and not hasattr(model, "populate")


def has_tenants(model: type[Any]) -> bool:
    """Return True if the rows of this class belong to tenants: see `TenantMixin`."""
    return issubclass(model, TenantMixin)


class TenantMixin:
    """The columns of rows that several tenants share, in place of `ImportableMixin`: an id may occur once per tenant.

    The import sets `tenant` to the name of the source. A class with `__table_args__` of its own repeats the constraint.
    """

    external_id: Mapped[str] = mapped_column(String(255), doc="The API's id of the item.")
    tenant: Mapped[str] = mapped_column(String(100), doc="The source that imported the row.")

    if TYPE_CHECKING:

        def detail_request(self) -> httpx.Request | None: ...

        def populate(self, detail: Mapping[str, Any]) -> None: ...

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 - of the class
        return (UniqueConstraint("tenant", "external_id"),)


class ImportableMixin:
    """The required column `external_id`, as a text of up to 255 characters, for declarative classes."""

    external_id: Mapped[str] = mapped_column(String(255), unique=True, doc="The API's id of the item.")

    if TYPE_CHECKING:  # rows whose details come in batches, or with the list, need no such methods

        def detail_request(self) -> httpx.Request | None: ...

        def populate(self, detail: Mapping[str, Any]) -> None: ...
