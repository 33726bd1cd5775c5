"""The row that keeps the checkpoint of a list: the import's own row, if the import has one list only."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from import_pipeline.tracking import items
from import_pipeline.tracking.counters import NOTHING, CounterDelta, sums
from import_pipeline.tracking.leases import Lease, write
from import_pipeline.tracking.tables import imports


class ListRow(ABC):
    """The row that keeps the checkpoint of one list. All writes raise LeaseLost."""

    key: str | None = None  #: of the slice; None: the import's only list
    #: False if a full import does not list a slice of this key: it cannot prove that an item of it was removed.
    is_lasting: bool = True
    is_partial: bool = False  #: the import does not read all slices: another one may list the same items
    parts: Sequence[str] = ()  #: the keys of smaller slices to read in place of this one, which is too large

    @abstractmethod
    def advance(
        self,
        connection: Connection,
        lease: Lease,
        now: datetime,
        checkpoint: Mapping[str, Any],
        *,
        total: int | None,
        new: int,
        counts: CounterDelta = NOTHING,
    ) -> None:
        """Store the checkpoint after a page, its `new` items, and counts of the import; `total` if it is known."""

    @abstractmethod
    def settle(
        self,
        connection: Connection,
        lease: Lease,
        now: datetime,
        checkpoint: Mapping[str, Any],
        count: int | None = None,
    ) -> None:
        """Replace the checkpoint. `count` is the number of the list's items, once it has ended."""

    @abstractmethod
    def count(self, connection: Connection, import_id: int) -> int:
        """Return the number of the list's different items that the import knows."""


class ImportListRow(ListRow):
    """The import's own row."""

    def advance(
        self,
        connection: Connection,
        lease: Lease,
        now: datetime,
        checkpoint: Mapping[str, Any],
        *,
        total: int | None,
        new: int,
        counts: CounterDelta = NOTHING,
    ) -> None:
        """Store the checkpoint after a page, the number of items, and counts of the import."""
        known = total if total is not None else imports.c.items_count
        write(connection, lease, now, checkpoint=dict(checkpoint), items_count=known, **sums(counts))

    def settle(
        self,
        connection: Connection,
        lease: Lease,
        now: datetime,
        checkpoint: Mapping[str, Any],
        count: int | None = None,
    ) -> None:
        """Replace the checkpoint, and correct the number of items at the end of the list."""
        corrected = {} if count is None else {"items_count": count}
        write(connection, lease, now, checkpoint=dict(checkpoint), **corrected)

    def count(self, connection: Connection, import_id: int) -> int:
        """Return the number of items of the import."""
        return items.count(connection, import_id)


IMPORT_LIST = ImportListRow()
