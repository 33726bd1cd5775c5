"""The IO manager of a source: a downstream asset takes `enriched_orders` as a parameter and gets its rows.

The annotation decides their form. Nothing is written: the import stores the rows itself.
"""

import collections.abc
import typing
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from import_pipeline.contracts import ImportSource
from import_pipeline.defs.io.frames import arrow_reader, arrow_table, pandas_frame, polars_frame
from import_pipeline.defs.io.rows import RowBatches, value_batches
from import_pipeline.errors import UsageError
from import_pipeline.redaction import masking
from import_pipeline.tracking.user_rows.model_columns import table_of

Form = Callable[[ImportSource, Sequence[str] | None], Any]
#: (module, class) of an annotation -> how its value is made. A library is imported only if an annotation names it.
_FRAMES = {
    ("pandas", "DataFrame"): pandas_frame,
    ("polars", "DataFrame"): polars_frame,
    ("polars", "LazyFrame"): lambda columns, batches: polars_frame(columns, batches).lazy(),
    ("pyarrow", "Table"): arrow_table,
    ("pyarrow", "RecordBatchReader"): arrow_reader,
}
_LISTS = (list, collections.abc.Sequence, collections.abc.Collection)
_BATCHES = (RowBatches, collections.abc.Iterable, collections.abc.Iterator)


class ImportedRows(dg.IOManager):
    """Gives the rows of one source to assets that follow it."""

    def __init__(self, source: ImportSource) -> None:
        self._source = source

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Do nothing: the import has stored its rows."""

    def load_input(self, context: dg.InputContext) -> Any:
        """Return the rows in the form that the parameter's annotation names; for partitions, only theirs.

        Raises UsageError for another annotation.
        """
        form = form_of(context.dagster_type.typing_type)
        if form is None:
            raise UsageError(
                f"{context.asset_key.to_user_string()}: expected a parameter annotated as list, Iterator, RowBatches, "
                "pandas.DataFrame, polars.DataFrame, polars.LazyFrame, pyarrow.Table or pyarrow.RecordBatchReader, "
                f"got {context.dagster_type.display_name}"
            )
        with masking():
            return form(self._source, _partition_keys(context))


def form_of(annotation: Any) -> Form | None:
    """Return the function that makes a value for an annotation; None if there is none."""
    kind = typing.get_origin(annotation) or annotation
    if kind is Any or kind in _LISTS:
        return lambda source, keys: [row for batch in RowBatches(source, keys) for row in batch]
    if kind is collections.abc.Iterator:
        return lambda source, keys: iter(RowBatches(source, keys))
    if kind in _BATCHES:
        return RowBatches
    frame = _FRAMES.get((getattr(kind, "__module__", "").partition(".")[0], getattr(kind, "__name__", "")))
    if frame is None:
        return None
    return lambda source, keys: frame(list(table_of(source.model).columns), value_batches(source, keys))


def _partition_keys(context: dg.InputContext) -> Sequence[str] | None:
    """Return the partitions whose rows are wanted; None for all.

    An asset without partitions gets the whole table: Dagster does not know the partitions of items that were imported
    outside of it.
    """
    if not context.has_partition_key and not context.step_context.has_partition_key_range:
        return None
    return list(context.asset_partition_keys) if context.has_asset_partitions else None
