"""The partitions of a source's details, one per item or per bucket, and the materializations that are due for them."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs import names
from import_pipeline.importer.runtime.progress import StoredItem
from import_pipeline.rules.partitions import range_of
from import_pipeline.tracking import source_items
from import_pipeline.tracking.database.engine import Database


def item_partitions(source: ImportSource) -> dg.DynamicPartitionsDefinition:
    """Return the dynamic partitions of a source: one per item or per bucket. Discovery adds the keys."""
    return dg.DynamicPartitionsDefinition(name=names.partitions(source.name, in_buckets=bool(source.partitions.size)))


class MaterializationQueue(Protocol):
    """Stored items that Dagster does not know of yet."""

    def partitions_of(self, external_ids: Sequence[str]) -> Sequence[str]:
        """Return the partition keys of the items of a stored list page."""
        ...

    def add(self, items: Sequence[StoredItem]) -> None:
        """Add items whose details are stored."""
        ...

    def due(self, most: int, *, last: bool) -> list[dg.AssetMaterialization]:
        """Return and remove up to `most` materializations that can be reported now. `last`: no more items will come."""
        ...


class ItemQueue:
    """One materialization per item."""

    def __init__(self, materialization: Callable[[StoredItem], dg.AssetMaterialization]) -> None:
        self._materialization = materialization
        self._waiting: deque[StoredItem] = deque()

    def partitions_of(self, external_ids: Sequence[str]) -> Sequence[str]:
        """Return the ids: each item is a partition."""
        return external_ids

    def add(self, items: Sequence[StoredItem]) -> None:
        """Add the items whose details are stored; the others stay as they were."""
        self._waiting.extend(item for item in items if not item.is_left_out)

    def due(self, most: int, *, last: bool) -> list[dg.AssetMaterialization]:
        """Return the oldest items, in their order."""
        return [self._materialization(self._waiting.popleft()) for _ in range(min(most, len(self._waiting)))]


class BucketQueue:
    """One materialization per bucket, due once the bucket is full or no more items will come.

    Its figures come from the tracking tables.
    """

    def __init__(
        self, asset: dg.AssetKey, source: ImportSource, database: Database, import_id: int, tags: Mapping[str, str]
    ) -> None:
        self._asset = asset
        self._source = source
        self._database = database
        self._import_id = import_id
        self._tags = tags
        self._arrived: deque[Sequence[str]] = deque()
        self._stored: Counter[str] = Counter()  #: bucket -> items stored since its last report

    def partitions_of(self, external_ids: Sequence[str]) -> Sequence[str]:
        """Return the buckets of the items. An item that was never in a list has none."""
        with self._database.read() as connection:
            found = source_items.numbers_of(connection, self._source.name, external_ids)
        return list(
            dict.fromkeys(self._source.partitions.key_of(found[each]) for each in external_ids if each in found)
        )

    def add(self, items: Sequence[StoredItem]) -> None:
        """Add items that are done; `due()` counts them later."""
        self._arrived.append([item.external_id for item in items])

    def due(self, most: int, *, last: bool) -> list[dg.AssetMaterialization]:
        """Return the full buckets; with `last` also those that are partly filled."""
        self._count()
        size = self._source.partitions.size or 1
        full = [key for key, number in self._stored.items() if last or number >= size][:most]
        for key in full:
            del self._stored[key]
        return [self._materialization(key) for key in full]

    def _count(self) -> None:
        some: list[str] = []
        while self._arrived:
            some += self._arrived.popleft()
        if some:
            with self._database.read() as connection:
                found = source_items.numbers_of(connection, self._source.name, some)
            self._stored.update(self._source.partitions.key_of(number) for number in found.values())

    def _materialization(self, key: str) -> dg.AssetMaterialization:
        with self._database.read() as connection:
            result = source_items.bucket_result(connection, self._import_id, self._source.name, *range_of(key))
        metadata = {"items_imported": result.completed, "items_failed": result.failed, "import_id": self._import_id}
        return dg.AssetMaterialization(asset_key=self._asset, partition=key, metadata=metadata, tags=self._tags)
