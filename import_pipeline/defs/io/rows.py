"""The rows of a source's table: all, or those of some partitions, in batches of one snapshot."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.orm import Session, lazyload, selectinload

from import_pipeline.contracts import ImportSource
from import_pipeline.contracts.relations import relations_of
from import_pipeline.importer.installation import open_for
from import_pipeline.rules.partitions import merge_ranges, range_of
from import_pipeline.tracking import source_items
from import_pipeline.tracking.database.dialect import chunks
from import_pipeline.tracking.user_rows.model_columns import table_of
from import_pipeline.tracking.user_rows.row_ids import keys_of
from import_pipeline.tracking.user_rows.tenant_rows import of_tenant

T = TypeVar("T", bound=tuple[Any, ...])
#: Rows of a batch.
BATCH_SIZE = 1000


class RowBatches:
    """The rows in lists of at most 1,000 detached objects of the source's class, for tables that memory cannot hold.

    Each iteration reads the table again, in one snapshot.
    """

    def __init__(self, source: ImportSource, partition_keys: Sequence[str] | None) -> None:
        self._source = source
        self._keys = partition_keys

    def __iter__(self) -> Iterator[list[Any]]:
        """Yield the batches, in the order of the primary key; for partitions, partition by partition."""
        model = self._source.model
        related = [selectinload(getattr(model, each.key)) for each in relations_of(model.__mapper__)]
        with open_for(self._source) as (installation, _), installation.database.read() as connection:
            for statement in _statements(connection, self._source, self._keys, select(model)):
                with Session(bind=connection, join_transaction_mode="rollback_only") as session:
                    found = session.scalars(
                        statement.options(lazyload("*"), *related), execution_options={"yield_per": BATCH_SIZE}
                    )
                    for batch in found.partitions():
                        for row in batch:
                            session.expunge(row)
                        yield list(batch)


def value_batches(source: ImportSource, partition_keys: Sequence[str] | None) -> Iterator[Sequence[Row[Any]]]:
    """Yield the same rows as tuples of their columns, in batches."""
    wanted: Select[Any] = select(*table_of(source.model).columns)
    with open_for(source) as (installation, _), installation.database.read() as connection:
        for statement in _statements(connection, source, partition_keys, wanted):
            yield from connection.execution_options(yield_per=BATCH_SIZE).execute(statement).partitions()


def _statements(
    connection: Connection, source: ImportSource, partition_keys: Sequence[str] | None, wanted: Select[T]
) -> Iterator[Select[T]]:
    """Yield the statements that read the source's rows of those partitions; all of its rows, if they are None."""
    table = table_of(source.model)
    ordered = wanted.where(*of_tenant(source.model, source.name)).order_by(*table.primary_key.columns)
    if partition_keys is None:
        yield ordered
        return
    for some in chunks(keys_of(source.model, connection.dialect, _item_ids(connection, source, partition_keys))):
        yield ordered.where(table.c.external_id.in_(some))


def _item_ids(connection: Connection, source: ImportSource, partition_keys: Sequence[str]) -> Sequence[str]:
    """Return the items of the partitions, which are items or buckets."""
    if source.partitions.size is None:
        return partition_keys
    ranges = merge_ranges(range_of(key) for key in partition_keys)
    return [
        each for first, last in ranges for each in source_items.items_numbered(connection, source.name, first, last)
    ]
